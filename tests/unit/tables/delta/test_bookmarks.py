"""The bookmark of a job in a Delta table's log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from spark_infer.errors import WriteError
from spark_infer.tables.bookmark import Bookmark
from spark_infer.tables.delta.bookmarks import bookmark_in
from spark_infer.tables.storage import open_storage

Action = dict[str, Any]


def mark(version: int, job: str = "score.1") -> Bookmark:
    return Bookmark(job=job, source_id="an/id", source_version=version, selection="ab", scoring="cd", model="m 1")


def scored(version: int, job: str = "score.1") -> list[Action]:
    """The commit of a run that left a bookmark, with one file."""
    at = mark(version, job)
    stamp = info("WRITE", userMetadata=json.dumps(at.to_facts()))
    return [stamp, {"txn": {"appId": at.app, "version": version}}, file(f"{version}.parquet")]


def file(path: str, rows: int = 1) -> Action:
    stats = json.dumps({"numRecords": rows})
    return {"add": {"path": path, "size": 1, "partitionValues": {}, "dataChange": True, "stats": stats}}


def gone(*paths: str) -> list[Action]:
    return [{"remove": {"path": path, "dataChange": True}} for path in paths]


def info(operation: str, *, parameters: Any = None, **more: Any) -> Action:
    return {"commitInfo": {"operation": operation, "operationParameters": parameters or {}, **more}}


def removing(operation: str, **parameters: Any) -> list[Action]:
    return [info(operation, parameters=parameters), {"remove": {"path": "a", "dataChange": True}}]


TABLE: list[Action] = [
    {"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}},
    {"metaData": {"id": "t", "schemaString": '{"type": "struct", "fields": []}', "partitionColumns": []}},
]


def found(tmp_path: Path, *commits: list[Action]) -> Bookmark | None:
    folder = tmp_path / "_delta_log"
    folder.mkdir()
    for version, actions in enumerate([[*TABLE, *commits[0]], *commits[1:]]):
        (folder / f"{version:020}.json").write_text("\n".join(map(json.dumps, actions)))
    storage = open_storage(f"file://{tmp_path}")
    assert storage is not None
    return bookmark_in(storage, "score.1")


def test_a_table_that_is_not_there_has_none(tmp_path: Path) -> None:
    storage = open_storage(f"file://{tmp_path}")
    assert storage is not None
    assert bookmark_in(storage, "score.1") is None


def test_the_newest_commit_of_the_job_counts(tmp_path: Path) -> None:
    later = [[info("WRITE")], scored(9, "other.1"), [info("OPTIMIZE")], removing("DELETE", predicate='["x"]')]
    assert found(tmp_path, scored(3), scored(5), *later) == mark(5)


@pytest.mark.parametrize("stamp", ["5", "{", '{"bookmark_job": "score.1"}', 7, "[" * 100_000])
def test_a_stamp_of_somebody_else_is_no_bookmark(tmp_path: Path, stamp: object) -> None:
    assert found(tmp_path, [info("WRITE", userMetadata=stamp)]) is None


def test_a_restored_table_has_that_of_its_version(tmp_path: Path) -> None:
    restore = removing("RESTORE", version="1", timestamp=None)
    assert found(tmp_path, scored(3), [info("WRITE")], scored(5), restore, [info("WRITE")]) == mark(3)


def test_a_table_that_was_restored_to_a_time_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match="restored it to a time"):
        found(tmp_path, scored(3), removing("RESTORE", version=None, timestamp="2026-01-01"))


def test_a_table_whose_rows_another_writer_replaced_has_none(tmp_path: Path) -> None:
    assert found(tmp_path, scored(3), removing("WRITE", mode="Overwrite")) is None


def test_a_part_that_another_writer_replaced_leaves_it(tmp_path: Path) -> None:
    assert found(tmp_path, scored(3), removing("WRITE", mode="Overwrite", predicate="p = 1")) == mark(3)


@pytest.mark.parametrize(
    ("emptied", "left"),
    [
        ([info("DELETE"), *gone("3.parquet", "5.parquet")], None),
        ([info("DELETE", parameters={"predicate": '["id >= 0"]'}), *gone("3.parquet", "5.parquet")], None),
        ([info("DELETE"), *gone("3.parquet", "5.parquet"), file("none.parquet", rows=0)], None),
        ([info("WRITE", parameters={"predicate": "p > 0"}), *gone("3.parquet", "5.parquet"), file("x")], None),
        ([info("WRITE", parameters={"predicate": "p > 3"}), *gone("5.parquet"), file("x")], mark(5)),
        ([info("DELETE"), *gone("3.parquet")], mark(5)),
        ([info("UPDATE"), *gone("3.parquet", "5.parquet"), file("x")], mark(5)),
    ],
)
@pytest.mark.parametrize("later", [False, True])
def test_a_table_that_lost_all_its_rows_has_none_though_others_came_later(
    tmp_path: Path, emptied: list[Action], left: Bookmark | None, later: bool
) -> None:
    assert found(tmp_path, scored(3), scored(5), emptied, *([[info("WRITE"), file("y")]] if later else [])) == left
