"""What the store's tests run in processes of their own."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import IO

from spark_infer.models.files.distribution import ModelFiles, open_folder
from spark_infer.models.files.store import ModelStore


def fetch_slowly(root: Path, source: Path, digest: str, log: Path) -> None:
    """Ask for a model; each fetch leaves one line in the log and takes long enough for the others to come."""

    def fetch(into: Path) -> None:
        with log.open("a") as lines:
            lines.write(f"{os.getpid()}\n")
        for path in source.rglob("*"):
            if path.is_file():
                target = into / path.relative_to(source)
                target.parent.mkdir(exist_ok=True)
                target.write_bytes(path.read_bytes())
        time.sleep(0.5)

    got = ModelStore(root).ensure(digest, fetch)
    assert (got / "model.skops").read_bytes() == b"weights"


def fetch_slowly_without_locks(root: Path, source: Path, digest: str, log: Path) -> None:
    """As a network file system whose locks everybody gets."""
    import fcntl

    fcntl.flock = lambda descriptor, operation: None
    fetch_slowly(root, source, digest, log)


def unpack_sent(root: Path, archive: Path, digest: str, log: Path) -> None:
    """Open a model as a Python worker does; the first process of all to copy gets stuck in the middle."""
    os.environ["SPARK_INFER_HOME"] = str(root)
    stuck = log.with_name("stuck")
    real_copy = shutil.copyfileobj

    def copy(source: IO[bytes], target: IO[bytes], length: int = 0) -> None:
        try:
            stuck.open("x").close()
        except FileExistsError:
            real_copy(source, target, length)
        else:
            target.write(source.read(3))
            target.flush()
            stuck.write_text(str(os.getpid()))
            time.sleep(600)

    def sent(name: str) -> Path:
        with log.open("a") as lines:
            lines.write(f"{os.getpid()}\n")
        return archive

    shutil.copyfileobj = copy  # type: ignore[assignment]
    files = ModelFiles(digest=digest, way="spark_files", place=archive.name)
    assert (open_folder(files, sent) / "model.skops").read_bytes() == b"weights"


def fetch_forever(root: Path, digest: str, started: Path) -> None:
    def fetch(into: Path) -> None:
        (into / "half").write_bytes(b"x")
        started.touch()
        time.sleep(600)

    ModelStore(root).ensure(digest, fetch)


def hold_lock(root: Path, name: str, started: Path) -> None:
    with ModelStore(root).lock(name):
        started.touch()
        time.sleep(600)
