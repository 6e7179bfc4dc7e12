from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from spark_infer.errors import ModelFilesError, ModelRefusedError
from spark_infer.models.files import store as store_module
from spark_infer.models.files.digest import folder_digest, hash_files
from spark_infer.models.files.store import ModelStore


def _never(into: Path) -> None:
    raise AssertionError("fetched although the model is here")


def _copying(folder: Path, count: list[int]) -> Callable[[Path], None]:
    def fetch(into: Path) -> None:
        count.append(1)
        shutil.copytree(folder, into, dirs_exist_ok=True)

    return fetch


def _temporary(store: ModelStore) -> list[str]:
    return [path.name for path in (store.root / "models" / "tmp").iterdir()]


def test_an_admitted_folder_is_found_again_by_its_digest(store: ModelStore, folder: Path) -> None:
    digest = store.admit(folder)
    assert digest == folder_digest(folder)
    assert store.ensure(digest, _never) == store.path(digest)
    assert (store.path(digest) / "code" / "features.py").read_text() == "x = 1\n"
    assert store.size_bytes(digest) == sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    assert json.loads((store.path(digest).parent / "manifest.json").read_text()).keys() == {
        "MLmodel", "code/features.py", "model.skops",
    }  # fmt: skip
    assert _temporary(store) == []


def test_the_copy_holds_no_links_and_nothing_that_the_digest_leaves_out(store: ModelStore, folder: Path) -> None:
    (folder / "again.skops").symlink_to("model.skops")
    (folder / "registered_model_meta").write_text("model_name: churn")
    (folder / "code" / "__pycache__").mkdir()
    (folder / "code" / "__pycache__" / "features.cpython-311.pyc").write_bytes(b"not what features.py says")
    copy = store.path(store.admit(folder))
    assert sorted(path.name for path in copy.rglob("*")) == [
        "MLmodel",
        "again.skops",
        "code",
        "features.py",
        "model.skops",
    ]
    assert not (copy / "again.skops").is_symlink()


def test_a_fetch_that_brings_bytecode_does_not_get_it_into_the_store(store: ModelStore, folder: Path) -> None:
    digest = folder_digest(folder)
    (folder / "code" / "__pycache__").mkdir()
    (folder / "code" / "__pycache__" / "features.cpython-311.pyc").write_bytes(b"not what features.py says")
    got = store.ensure(digest, _copying(folder, []))
    assert not (got / "code" / "__pycache__").exists()


def test_bytecode_that_python_writes_while_the_model_runs_does_no_harm(
    store: ModelStore, folder: Path, new_process: Callable[[], None]
) -> None:
    digest = store.admit(folder)
    (store.path(digest) / "code" / "__pycache__").mkdir()
    (store.path(digest) / "code" / "__pycache__" / "features.cpython-311.pyc").touch()
    store.ensure(digest, _never)
    new_process()
    store.ensure(digest, _never)


@pytest.mark.parametrize("fresh", [True, False], ids=["in a new process", "in the process that wrote it"])
@pytest.mark.parametrize("damage", ["truncated", "extended", "missing", "added", "no manifest", "a file"])
def test_a_damaged_entry_is_thrown_away_and_fetched_again_once(
    store: ModelStore, folder: Path, new_process: Callable[[], None], damage: str, fresh: bool
) -> None:
    digest = store.admit(folder)
    model = store.path(digest)
    match damage:
        case "truncated":
            os.truncate(model / "model.skops", 3)
        case "extended":
            (model / "model.skops").write_bytes(b"weights and more")
        case "missing":
            (model / "model.skops").unlink()
        case "added":
            (model / "code" / "sitecustomize.py").touch()
        case "no manifest":
            (model.parent / "manifest.json").write_text("{")
        case "a file":
            shutil.rmtree(model.parent)
            model.parent.touch()
    if fresh:
        new_process()
    count: list[int] = []
    got = store.ensure(digest, _copying(folder, count))
    assert folder_digest(got) == digest
    assert count == [1]
    store.ensure(digest, _never)


def test_a_flipped_bit_is_found_by_the_next_process(
    store: ModelStore, folder: Path, new_process: Callable[[], None]
) -> None:
    digest = store.admit(folder)
    (store.path(digest) / "model.skops").write_bytes(b"weighty")
    new_process()
    count: list[int] = []
    assert (store.ensure(digest, _copying(folder, count)) / "model.skops").read_bytes() == b"weights"
    assert count == [1]


def test_bytes_are_hashed_once_in_a_process(
    store: ModelStore, folder: Path, new_process: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = store.admit(folder)
    new_process()
    hashed: list[Path] = []

    def counted(path: Path) -> object:
        hashed.append(path)
        return hash_files(path)

    monkeypatch.setattr("spark_infer.models.files.store.hash_files", counted)
    for _ in range(3):
        store.ensure(digest, _never)
    assert hashed == [store.path(digest)]


def test_a_fetch_of_other_files_is_refused_and_leaves_nothing(store: ModelStore, folder: Path) -> None:
    digest = folder_digest(folder)
    (folder / "model.skops").write_bytes(b"other")
    with pytest.raises(ModelFilesError, match=f"not model {digest[:12]}: their digest is {folder_digest(folder)[:12]}"):
        store.ensure(digest, _copying(folder, []))
    assert not store.path(digest).exists()
    assert _temporary(store) == []


def test_files_that_are_here_already_are_left_alone_by_a_download_of_the_same(store: ModelStore, folder: Path) -> None:
    digest = store.admit(folder)
    before = store.path(digest).stat().st_ino
    assert store.receive(_copying(folder, [])) == digest
    assert store.path(digest).stat().st_ino == before
    assert _temporary(store) == []


def test_a_fetch_of_nothing_or_of_links_is_refused(store: ModelStore) -> None:
    with pytest.raises(ModelFilesError, match="there are none"):
        store.receive(lambda into: None)
    with pytest.raises(ModelRefusedError, match="leaves the model folder"):
        store.receive(lambda into: (into / "x").symlink_to("/etc/hostname"))

    def inner_link(into: Path) -> None:
        (into / "a").touch()
        (into / "b").symlink_to("a")

    with pytest.raises(ModelFilesError, match="one of them is a link"):
        store.receive(inner_link)


def test_a_failing_fetch_leaves_nothing_and_keeps_its_own_error(store: ModelStore, folder: Path) -> None:
    def fetch(into: Path) -> None:
        (into / "half").touch()
        raise ModelFilesError("gone")

    with pytest.raises(ModelFilesError, match=r"^gone"):
        store.ensure(folder_digest(folder), fetch)

    def missing(into: Path) -> None:
        (into / "archive.tar").read_bytes()

    with pytest.raises(ModelFilesError, match="could not be fetched: No such file"):
        store.ensure(folder_digest(folder), missing)
    assert _temporary(store) == []


def test_a_folder_that_changes_while_it_is_copied_is_refused(
    store: ModelStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = shutil.copyfile

    def copy(source: Path, target: Path) -> None:
        real(source, target)
        if source.name == "MLmodel":
            (folder / "model.skops").write_bytes(b"retrained")

    monkeypatch.setattr(shutil, "copyfile", copy)
    with pytest.raises(ModelFilesError, match="The source changed"):
        store.admit(folder)


def test_only_digests_name_entries(store: ModelStore) -> None:
    for name in ("../../../etc", "A" * 64, "0" * 63, "0" * 64 + "\n"):
        with pytest.raises(ValueError, match="not a digest"):
            store.path(name)


def test_a_full_disk_is_reported_with_its_sizes(store: ModelStore, folder: Path) -> None:
    def fetch(into: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(ModelFilesError, match="is full") as caught:
        store.receive(fetch)
    assert caught.value.details[0].startswith("free: ")
    assert _temporary(store) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("this user may not mount a small disk")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_disk_that_is_really_full_holds_no_half_entry(small_disk: Path, folder: Path) -> None:
    store = ModelStore(small_disk / "store")
    (folder / "model.skops").write_bytes(b"x" * 3_000_000)
    with pytest.raises(ModelFilesError, match="is full") as caught:
        store.admit(folder)
    assert "3000" in str(caught.value)

    def fetch(into: Path) -> None:
        (into / "model.skops").write_bytes(b"x" * 3_000_000)

    with pytest.raises(ModelFilesError, match="is full"):
        store.receive(fetch)
    assert _temporary(store) == []
    assert list((store.root / "models" / "sha256").iterdir()) == []


def test_a_model_larger_than_the_disk_is_refused_by_its_size_before_it_is_read(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.truncate(folder / "model.skops", 10 * 2**40)  # ten TiB of holes
    monkeypatch.setattr(store_module, "hash_files", lambda folder: pytest.fail("its files are read"))
    with pytest.raises(ModelFilesError, match="is full") as refused:
        ModelStore(tmp_path / "store").admit(folder)
    assert f"{10 * 2**40 // 10**6}" in str(refused.value)


def test_a_model_that_is_here_is_admitted_again_on_a_full_disk_beside_a_damaged_one(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ModelStore(tmp_path / "store")
    digest = store.admit(folder)
    (folder / "MLmodel").write_text("flavors: {}\n# another\n")
    other = store.admit(folder)
    (store.path(digest).parent / "manifest.json").write_text("{")
    full = SimpleNamespace(free=0, total=1)
    monkeypatch.setattr("spark_infer.models.files.store.shutil.disk_usage", lambda path: full)
    assert store.admit(folder) == other
    (folder / "MLmodel").write_text("flavors: {}\n# one that is larger than both\n")
    with pytest.raises(ModelFilesError, match="is full"):
        store.admit(folder)
