from __future__ import annotations

from pathlib import Path

import pyarrow as pa
from deltalake import CommitProperties, Transaction, write_deltalake

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
