"""Files get to their place, and after a failure the same call brings there what is left."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from spark_infer.errors import LedgerError, WriteError
from spark_infer.tables.durable import LocalDisk
from spark_infer.tables.parquet.replace_folders import put_partitions, put_table
from spark_infer.tables.predicate import partition_scope
from spark_infer.tables.publishing.move_files import place, take
from spark_infer.tables.staging import create_table
from spark_infer.tables.storage import Storage, open_storage

SCOPE, _ = partition_scope({"p": [1, 2]}, {"p": "int"})
OLD = {"p=1/old": "1", "p=2/old": "2", "p=3/old": "3"}
NEW = {"p=1/new": "1", "p=4/new": "4"}
AFTER = {"table": NEW, "add": OLD | NEW, "partitions": {"p=1/new": "1", "p=3/old": "3", "p=4/new": "4"}}


class Breaking:
    """A file system whose n-th move fails."""

    def __init__(self, files: object, at: int) -> None:
        self._files, self._left = files, at

    def __getattr__(self, name: str) -> object:
        return getattr(self._files, name)

    def move(self, start: str, end: str) -> None:
        self._left -= 1
        if self._left == 0:
            raise OSError(28, "No space left on device")
        self._files.move(start, end)  # type: ignore[attr-defined]


class Meanwhile:
    """A file system on which somebody else makes a table just after the n-th look."""

    def __init__(self, files: object, after: int, table: Path) -> None:
        self._files, self._left, self._table = files, after, table

    def __getattr__(self, name: str) -> object:
        return getattr(self._files, name)

    def get_file_info(self, what: object) -> object:
        seen = self._files.get_file_info(what)  # type: ignore[attr-defined]
        self._left -= 1
        if self._left == 0:
            fill(self._table, OLD)
        return seen


def fill(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def content(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def storage(folder: Path, breaks_at: int = 0) -> Storage:
    found = open_storage(f"file://{folder}")
    assert found is not None
    return Storage(found.uri, found.root, Breaking(found.files, breaks_at)) if breaks_at else found


@pytest.fixture(params=["a disk that exchanges folders", "a disk that does not"])
def exchanges(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    if request.param.endswith("not"):
        monkeypatch.setattr(LocalDisk, "exchange", lambda self, first, second: False)
    return not request.param.endswith("not")


def publish(how: str, here: Path, breaks_at: int = 0) -> None:
    table, run = storage(here / "t", breaks_at), storage(here / "run", breaks_at)
    if how == "add":
        place(storage(here / "run" / "new", breaks_at), table, list(NEW))
        return
    ready = run.below("new")
    if how == "table":
        if ready.kind():
            put_table(ready, table, run)
    else:
        put_partitions(ready, table, run, list(NEW), SCOPE)


@pytest.mark.parametrize("how", AFTER)
@pytest.mark.parametrize("breaks_at", [0, 1, 2, 3, 4])
def test_what_a_failure_leaves_is_brought_to_its_place_by_the_next_call(
    tmp_path: Path, how: str, breaks_at: int, exchanges: bool
) -> None:
    fill(tmp_path / "t", OLD)
    fill(tmp_path / "run" / "new", NEW)
    told = ""
    try:
        publish(how, tmp_path, breaks_at)
    except WriteError as error:
        told = str(error)
    if told:
        assert "No space left" in told
        assert "run the same command again" in told
        assert set(content(tmp_path / "t")) <= set(OLD | NEW)
        publish(how, tmp_path)
    assert content(tmp_path / "t") == AFTER[how]


def test_a_table_is_never_gone_where_the_disk_can_exchange_folders(tmp_path: Path) -> None:
    fill(tmp_path / "t", OLD)
    fill(tmp_path / "run" / "new", NEW)
    assert LocalDisk().exchange(str(tmp_path / "run" / "new"), str(tmp_path / "t"))
    assert content(tmp_path / "t") == NEW
    assert content(tmp_path / "run" / "new") == OLD


def test_a_staged_folder_has_one_holder(tmp_path: Path) -> None:
    fill(tmp_path / "run" / "new", NEW)
    run = storage(tmp_path / "run")
    first = take(run, "a", list(NEW))
    second = take(run, "b", list(NEW))
    assert first is not None
    assert second is not None
    assert not first.kind()
    fill(tmp_path / "t", OLD)
    with pytest.raises(LedgerError, match="Another driver"):
        put_table(first, storage(tmp_path / "t"), run)
    assert content(tmp_path / "t") == OLD
    put_table(second, storage(tmp_path / "t"), run)
    assert content(tmp_path / "t") == NEW


def test_files_that_are_in_neither_place_are_missed(tmp_path: Path) -> None:
    fill(tmp_path / "run" / "new", {"p=1/new": "1"})
    with pytest.raises(WriteError, match="t/p=…/new"):
        place(storage(tmp_path / "run" / "new"), storage(tmp_path / "t"), list(NEW))


def test_a_table_made_by_somebody_else_is_left_alone(tmp_path: Path) -> None:
    fill(tmp_path / "t", OLD)
    fill(tmp_path / "new", NEW)
    with pytest.raises(WriteError, match="made by another writer"):
        create_table(storage(tmp_path / "new"), storage(tmp_path / "t"))
    assert content(tmp_path / "t") == OLD


@pytest.mark.parametrize("how", ["create", "put"])
@pytest.mark.parametrize("before", ["nothing", "an empty folder"])
@pytest.mark.parametrize("after", [1, 2])
def test_a_table_that_somebody_else_makes_at_this_moment_is_left_alone(
    tmp_path: Path, how: str, before: str, after: int
) -> None:
    fill(tmp_path / "run" / "new", NEW)
    if before == "an empty folder":
        (tmp_path / "t").mkdir()
    there = storage(tmp_path / "t")
    table = Storage(there.uri, there.root, Meanwhile(there.files, after, tmp_path / "t"))
    ready = storage(tmp_path / "run" / "new")
    told = "made by another writer" if how == "create" else "could not all be moved"
    with pytest.raises(WriteError, match=told):
        create_table(ready, table) if how == "create" else put_table(ready, table, storage(tmp_path / "run"))
    assert content(tmp_path / "t") == OLD
    assert content(tmp_path / "run" / "new") == NEW


def test_an_empty_folder_gives_way_to_the_table(tmp_path: Path) -> None:
    fill(tmp_path / "new", NEW)
    (tmp_path / "t").mkdir()
    create_table(storage(tmp_path / "new"), storage(tmp_path / "t"))
    assert content(tmp_path / "t") == NEW


@pytest.mark.parametrize("exchange", [lambda disk, *paths: disk.exchange(*paths)])
def test_an_exchange_of_what_is_not_there_is_an_error(tmp_path: Path, exchange: Callable[..., bool]) -> None:
    fill(tmp_path / "t", OLD)
    with pytest.raises(FileNotFoundError):
        exchange(LocalDisk(), str(tmp_path / "none"), str(tmp_path / "t"))
