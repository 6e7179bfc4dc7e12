"""Which files of a Delta table hold the rows that came after a version."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from spark_infer.tables.delta.log import list_log
from spark_infer.tables.delta.new_files import HistoryGoneError, RowsChangedError, added_since
from spark_infer.tables.storage import Storage, open_storage

Action = dict[str, Any]


def add(path: str, *, change: bool = True, part: str | None = "0") -> Action:
    return {"add": {"path": path, "size": 1, "partitionValues": {"p": part}, "dataChange": change}}


def remove(path: str, *, change: bool = True, part: str | None = "0") -> Action:
    values = {} if part is None else {"partitionValues": {"p": part}}
    return {"remove": {"path": path, "dataChange": change, **values}}


def arranged(*actions: Action) -> list[Action]:
    """A commit that only arranges rows in other files."""
    return [{kind: {**each, "dataChange": False} for kind, each in action.items()} for action in actions]


def new(tmp_path: Path, *commits: list[Action], changed: bool = False) -> list[str]:
    """The new files after version 0, whose only file is ``old``."""
    storage = logged(tmp_path, [add("old")], *commits)
    log = list_log(storage)
    assert log is not None
    return sorted(each["path"] for each in added_since(storage, log, 0, log.newest, changed=changed))


def logged(tmp_path: Path, *commits: list[Action]) -> Storage:
    folder = tmp_path / "_delta_log"
    folder.mkdir()
    for version, actions in enumerate(commits):
        (folder / f"{version:020}.json").write_text("\n".join(map(json.dumps, actions)))
    storage = open_storage(f"file://{tmp_path}")
    assert storage is not None
    return storage


def test_files_that_commits_added_are_new(tmp_path: Path) -> None:
    assert new(tmp_path, [add("a"), add("b")], [], [add("c")]) == ["a", "b", "c"]


def test_an_add_that_does_not_say_whether_it_changes_rows_does(tmp_path: Path) -> None:
    del (silent := add("a"))["add"]["dataChange"]
    assert new(tmp_path, [silent]) == ["a"]


@pytest.mark.parametrize(
    ("commits", "files"),
    [
        ([arranged(remove("old"), add("all"))], []),
        ([[add("a"), add("b")], arranged(remove("a"), remove("b"), add("ab"))], ["ab"]),
        ([[add("a")], arranged(remove("old"), remove("a"), add("all"))], ["a"]),
        ([[add("a")], arranged(remove("old"), remove("a"), add("all")), arranged(remove("all"), add("more"))], ["a"]),
        (
            [[add("a", part="1")], arranged(remove("old"), remove("a", part="1"), add("x"), add("y", part="1"))],
            ["y"],
        ),
    ],
    ids=["of old rows", "of new rows", "of both", "twice", "of each partition by itself"],
)
def test_rows_are_followed_into_the_files_that_they_were_arranged_in(
    tmp_path: Path, commits: list[list[Action]], files: list[str]
) -> None:
    assert new(tmp_path, *commits) == files


def test_a_file_whose_partition_the_log_does_not_say_may_be_of_any(tmp_path: Path) -> None:
    arrangement = arranged(remove("old", part=None), remove("a", part=None), add("all"))
    assert new(tmp_path, [add("a")], arrangement) == ["a"]


def test_rows_that_came_and_went_are_not_new(tmp_path: Path) -> None:
    assert new(tmp_path, [add("a"), add("b")], [remove("a"), add("left of a")], [remove("b")]) == ["left of a"]


def test_a_commit_that_changes_older_rows_is_named(tmp_path: Path) -> None:
    with pytest.raises(RowsChangedError) as changed:
        new(tmp_path, [add("a")], [{"commitInfo": {"operation": "UPDATE"}}, remove("old"), add("old and new")])
    assert (changed.value.version, changed.value.operation) == (2, "UPDATE")


def test_a_commit_that_changes_rows_of_a_file_of_both_kinds_is_named(tmp_path: Path) -> None:
    with pytest.raises(RowsChangedError):
        new(tmp_path, [add("a")], arranged(remove("old"), remove("a"), add("all")), [remove("all"), add("less")])


def test_a_commit_that_is_gone_is_named(tmp_path: Path) -> None:
    storage = logged(tmp_path, [add("old")], [add("a")], [add("b")])
    (tmp_path / "_delta_log" / f"{1:020}.json").unlink()
    log = list_log(storage)
    assert log is not None
    with pytest.raises(HistoryGoneError) as gone:
        added_since(storage, log, 0, 2)
    assert gone.value.version == 1


def test_where_changed_rows_count_the_files_that_hold_them_are_read_as_the_table_has_them(tmp_path: Path) -> None:
    commits = [[add("a")], arranged(remove("old"), remove("a"), add("all")), [remove("all"), add("less")], [add("b")]]
    assert new(tmp_path, *commits, changed=True) == ["b", "less"]
