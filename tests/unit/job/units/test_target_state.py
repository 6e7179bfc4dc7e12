from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import CommitProperties, Transaction, write_deltalake

from spark_infer.errors import TargetError, WriteError
from spark_infer.job.units.runs import before_running
from spark_infer.tables.formats import format_of
from spark_infer.tables.storage import open_storage

ROWS = pa.table({"id": [1, 2]})


def test_rows_that_spark_wrote_are_there_until_a_commit_replaces_those_of_theirs(tmp_path: Path) -> None:
    mine = CommitProperties(app_transactions=[Transaction("spark_infer/run", 1, 0)])
    write_deltalake(tmp_path / "t", ROWS)
    write_deltalake(tmp_path / "t", ROWS, mode="append", commit_properties=mine)
    table = open_storage(f"file://{tmp_path}/t")
    assert table is not None
    report = {"app": "spark_infer/run", "target_version": 1}
    assert format_of("delta").written.holds_rows(table, report)
    assert not format_of("delta").written.holds_rows(table, {**report, "app": "spark_infer/other"})
    write_deltalake(tmp_path / "t", ROWS, mode="append")
    assert format_of("delta").written.holds_rows(table, report)
    write_deltalake(tmp_path / "t", ROWS, mode="overwrite")
    assert not format_of("delta").written.holds_rows(table, report)


def test_a_log_that_is_damaged_after_planning_is_an_error_in_words(tmp_path: Path) -> None:
    mine = CommitProperties(app_transactions=[Transaction("spark_infer/run", 1, 0)])
    write_deltalake(tmp_path / "t", ROWS, commit_properties=mine)
    table, written = open_storage(f"file://{tmp_path}/t"), format_of("delta").written
    assert table is not None
    commit = tmp_path / "t" / "_delta_log" / f"{0:020}.json"
    commit.write_text('{"add": {"path": 1}}\n{"txn": []}\n')
    report = {"app": "spark_infer/run", "target_version": 0, "some_files": ["part-0.parquet"]}
    for look in (written.has_run, written.lost_files, written.holds_rows):
        with pytest.raises(WriteError, match=r"The log of .*/t cannot be read: path of add is not a text") as failed:
            look(table, report)
        assert "_delta_log" in failed.value.next_step
    with pytest.raises(TargetError, match="cannot be read"), before_running():
        written.has_run(table, report)
