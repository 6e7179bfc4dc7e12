"""One digest for a model folder: the same bytes under the same names, wherever the folder lies.

MLflow keeps no digest of a model's files, so this one is ours. Left out are the files that are not
the model: ``registered_model_meta``, which MLflow writes into every folder it downloads, and
``__pycache__``, which Python writes beside a model's code when that code is imported. Bytecode that
somebody logged with a model is left out with it and never reaches a node: Python would run it in place
of the source that the digest covers.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from spark_infer.errors import ModelFilesError, ModelRefusedError

MLFLOW_META = "registered_model_meta"
BYTECODE_FOLDER = "__pycache__"

_FORMAT = b"spark_infer model folder 1\n"
_MAX_FILES = 100_000
_BLOCK_BYTES = 2**20


@dataclass(frozen=True)
class FileFacts:
    """Size in bytes and SHA-256 of one file."""

    size: int
    sha256: str


def folder_digest(folder: Path) -> str:
    """Return the SHA-256, in hex, that stands for all files of a model folder.

    Reads every byte once. Empty folders, times and permissions do not count.

    Raises:
        ModelRefusedError: A link leaves the folder, or something in it is not a file.
    """
    return combine(hash_files(folder))


def hash_files(folder: Path) -> dict[str, FileFacts]:
    """Read every file of a model folder and return its facts by relative path, sorted."""
    files = model_files(folder)
    try:
        return {name: _facts(path) for name, path in files.items()}
    except OSError as error:
        raise _unreadable(folder, error) from error


def combine(files: Mapping[str, FileFacts]) -> str:
    """Make one digest out of the facts of all files.

    Every part has a fixed size or its length in front, so two different folders never spell the same bytes.
    """
    total = hashlib.sha256(_FORMAT)
    for name in sorted(files, key=os.fsencode):
        encoded = os.fsencode(name)
        total.update(len(encoded).to_bytes(8, "big") + encoded)
        total.update(files[name].size.to_bytes(8, "big") + bytes.fromhex(files[name].sha256))
    return total.hexdigest()


def is_model_file(name: str) -> bool:
    """Say whether a relative path belongs to the model, as opposed to what MLflow and Python leave beside it."""
    return name != MLFLOW_META and BYTECODE_FOLDER not in name.split("/")


def model_files(folder: Path) -> dict[str, Path]:
    """Find the files of a model folder by relative path, with ``/`` on every system.

    A link to a file inside the folder counts as that file.

    Raises:
        ModelRefusedError: A link leaves the folder or points to a folder, or something is not a file.
        ModelFilesError: The folder cannot be read.
    """
    root = folder.resolve()
    try:
        files = {name: path for name, path in _walk(root) if is_model_file(name)}
    except OSError as error:
        raise _unreadable(folder, error) from error
    return dict(sorted(files.items()))


def _walk(root: Path) -> Iterator[tuple[str, Path]]:
    pending, found = [root], 0
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                path = Path(entry.path)
                if entry.is_dir(follow_symlinks=False):
                    if entry.name != BYTECODE_FOLDER:
                        pending.append(path)
                    continue
                found += 1
                if found > _MAX_FILES:
                    raise ModelRefusedError(f"The model folder {root} holds more than {_MAX_FILES} files.")
                yield path.relative_to(root).as_posix(), _checked(root, path)


def _checked(root: Path, path: Path) -> Path:
    name = path.relative_to(root).as_posix()
    if path.is_symlink() and not path.resolve().is_relative_to(root):
        raise _refused(name, "is a link that leaves the model folder")
    if not path.is_file():
        raise _refused(name, "is not a file, nor a link to one")
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        raise _refused(name, "has a name that is not UTF-8") from None
    return path


def _unreadable(folder: Path, error: OSError) -> ModelFilesError:
    return ModelFilesError(
        f"The model folder {folder} cannot be read: {error.strerror or error}.",
        next_step="Check that it exists and that this user may read all of it.",
    )


def _refused(name: str, complaint: str) -> ModelRefusedError:
    return ModelRefusedError(
        f"{name!r} in the model folder {complaint}.", next_step="Put the file itself there, and log the model again."
    )


def _facts(path: Path) -> FileFacts:
    sha256 = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            sha256.update(block)
        return FileFacts(size=file.tell(), sha256=sha256.hexdigest())
