"""Files get to their place all together, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from spark_infer.errors import WriteError
from spark_infer.tables.parquet import EMPTY_TABLE_FILE
from spark_infer.tables.predicate import partition_scope
from spark_infer.tables.staging import (
    Stage,
    add_files,
    create_table,
    leftovers,
    replace_partitions,
    replace_table,
    staging,
)
from spark_infer.tables.storage import DataFile, Storage, open_storage

SCOPE, _ = partition_scope({"p": [1, 2]}, {"p": "int"})
OLD = {"p=1/old": "1", "p=2/old": "2", "p=3/old": "3"}
NEW = {"p=1/new": "1", "p=4/new": "4"}


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


def staged(stage: Stage, files: dict[str, str]) -> list[DataFile]:
    fill(Path(stage.new.root), files)
    return stage.new.data_files()


def publish(how: str, table: Storage, new: dict[str, str]) -> list[str]:
    with staging(table) as stage:
        files = staged(stage, new)
        if how == "replace":
            replace_table(stage)
        elif how == "create":
            create_table(stage)
        elif how == "add":
            add_files(stage, files)
        else:
            return replace_partitions(stage, files, SCOPE)
    return []


AFTER = {
    "replace": NEW,
    "add": OLD | NEW,
    "partitions": {"p=1/new": "1", "p=3/old": "3", "p=4/new": "4"},
}


@pytest.mark.parametrize("how", AFTER)
def test_published_files_are_in_place_and_nothing_is_left(tmp_path: Path, how: str) -> None:
    fill(tmp_path / "t", OLD)
    emptied = publish(how, storage(tmp_path / "t"), NEW)
    assert content(tmp_path) == {f"t/{name}": text for name, text in AFTER[how].items()}
    assert emptied == (["p=2"] if how == "partitions" else [])


@pytest.mark.parametrize("how", AFTER)
@pytest.mark.parametrize("breaks_at", [1, 2, 3, 4])
def test_a_rename_that_fails_puts_everything_back(tmp_path: Path, how: str, breaks_at: int) -> None:
    fill(tmp_path / "t", OLD)
    moves = {"replace": 2, "add": 2, "partitions": 4}[how]
    table = storage(tmp_path / "t", breaks_at)
    if breaks_at > moves:
        publish(how, table, NEW)
        return
    with pytest.raises(WriteError, match="No space left"):
        publish(how, table, NEW)
    assert content(tmp_path) == {f"t/{name}": text for name, text in OLD.items()}
    assert {path.name for path in tmp_path.rglob("*") if path.is_dir()} == {"t", "p=1", "p=2", "p=3"}


def test_an_interrupt_between_renames_puts_everything_back(tmp_path: Path) -> None:
    class Interrupting(Breaking):
        def move(self, start: str, end: str) -> None:
            if end.endswith("p=4/new"):
                raise KeyboardInterrupt
            super().move(start, end)

    fill(tmp_path / "t", OLD)
    found = storage(tmp_path / "t")
    with pytest.raises(KeyboardInterrupt):
        publish("add", Storage(found.uri, found.root, Interrupting(found.files, 0)), NEW)
    assert content(tmp_path) == {f"t/{name}": text for name, text in OLD.items()}


def test_old_files_that_cannot_be_put_back_are_kept_and_named(tmp_path: Path) -> None:
    class NoWayBack(Breaking):
        def move(self, start: str, end: str) -> None:
            if "/old" in start or "/new" in start:
                raise OSError(5, "Input/output error")
            super().move(start, end)

    fill(tmp_path / "t", OLD)
    found = storage(tmp_path / "t")
    with pytest.raises(WriteError, match="could not be put back") as failed:
        publish("replace", Storage(found.uri, found.root, NoWayBack(found.files, 0)), NEW)
    (left,) = leftovers(found)
    assert f"The old files are in {left}/old." in failed.value.details
    assert content(Path(left) / "old") == OLD


def test_a_table_made_by_somebody_else_is_left_alone(tmp_path: Path) -> None:
    fill(tmp_path / "t", OLD)
    with pytest.raises(WriteError, match="made by another writer"):
        publish("create", storage(tmp_path / "t"), NEW)
    assert content(tmp_path) == {f"t/{name}": text for name, text in OLD.items()}


def test_an_empty_folder_gives_way_to_the_table(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    publish("create", storage(tmp_path / "t"), NEW)
    assert content(tmp_path / "t") == NEW


def test_a_file_of_the_same_name_is_never_replaced(tmp_path: Path) -> None:
    fill(tmp_path / "t", {"p=1/new": "theirs"})
    with pytest.raises(WriteError, match="exists"):
        publish("add", storage(tmp_path / "t"), NEW)
    assert content(tmp_path / "t") == {"p=1/new": "theirs"}


def test_the_file_that_stands_for_no_rows_goes_when_rows_come_and_comes_when_they_go(tmp_path: Path) -> None:
    marker = {EMPTY_TABLE_FILE: "schema"}
    fill(tmp_path / "t", marker)
    publish("add", storage(tmp_path / "t"), {"p=1/new": "1"})
    assert content(tmp_path / "t") == {"p=1/new": "1"}
    publish("partitions", storage(tmp_path / "t"), marker)
    assert content(tmp_path / "t") == marker
