"""Delta's log as read here, against the library deltalake, which writes and reads it independently."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from spark_infer.tables.delta_log import LogState, list_log, read_log
from spark_infer.tables.storage import Storage, open_storage


def rows(*months: int | None) -> pa.Table:
    return pa.table({"id": pa.array(range(len(months)), pa.int64()), "month": pa.array(months, pa.int32())})


def opened(path: Path) -> Storage:
    found = open_storage(f"file://{path}")
    assert found is not None
    return found


def state(path: Path, version: int) -> LogState | None:
    listing = list_log(opened(path))
    assert listing is not None
    return read_log(opened(path), listing, version)


@pytest.mark.parametrize("checkpoint", [False, True])
def test_every_version_holds_what_deltalake_says(tmp_path: Path, checkpoint: bool) -> None:
    write_deltalake(tmp_path, rows(10, 11, None), partition_by=["month"])
    write_deltalake(tmp_path, rows(10, 12), mode="append")
    if checkpoint:
        DeltaTable(tmp_path).create_checkpoint()
    DeltaTable(tmp_path).delete("month = 10")
    write_deltalake(tmp_path, rows(13), mode="overwrite")
    for version in range(4):
        found = state(tmp_path, version)
        theirs = DeltaTable(tmp_path, version=version)
        adds = pa.table(theirs.get_add_actions(flatten=True))
        assert found is not None
        assert (found.partition_columns, found.partition_types) == (("month",), ("int",))
        assert sum(file.rows or 0 for file in found.files) == theirs.to_pyarrow_table().num_rows
        assert sorted(file.size for file in found.files) == sorted(adds["size_bytes"].to_pylist())
    first = state(tmp_path, 0)
    assert first is not None
    assert {(file.values["month"], file.rows) for file in first.files} == {("10", 1), ("11", 1), (None, 1)}


def test_versions_before_a_checkpoint_are_gone_when_their_commits_are(tmp_path: Path) -> None:
    for _ in range(3):
        write_deltalake(tmp_path, rows(1), mode="append")
    DeltaTable(tmp_path).create_checkpoint()
    write_deltalake(tmp_path, rows(1), mode="append")
    for version in (0, 1):
        (tmp_path / "_delta_log" / f"{version:020}.json").unlink()
    listing = list_log(opened(tmp_path))
    assert listing is not None
    assert (listing.oldest, listing.newest) == (2, 3)
    assert state(tmp_path, 1) is None
    newest = state(tmp_path, 3)
    assert newest is not None
    assert len(newest.files) == 4


def test_what_is_not_certain_is_not_answered(tmp_path: Path) -> None:
    write_deltalake(tmp_path, rows(1))
    commit = tmp_path / "_delta_log" / f"{0:020}.json"
    plain = commit.read_text()
    for damage in ("{not json", plain.replace('"schemaString"', '"x"'), '{"sidecar":{"path":"p"}}\n' + plain):
        commit.write_text(damage)
        assert state(tmp_path, 0) is None
    commit.write_text('{"protocol":{"writerFeatures":["catalogManaged"]}}\n' + plain)
    assert state(tmp_path, 0) is None
    commit.write_text(plain)
    assert state(tmp_path, 0) is not None
    assert state(tmp_path, 1) is None


def test_a_folder_without_commits_is_no_delta_table(tmp_path: Path) -> None:
    (tmp_path / "_delta_log").mkdir()
    assert list_log(opened(tmp_path)) is None
