"""An error names a file without values of rows, and the log says where it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from spark_infer.errors import SparkInferError
from spark_infer.tables.ledger.check import check_files
from spark_infer.tables.parquet.footers import read_footers
from spark_infer.tables.parquet.partitioning import refuse_stray
from spark_infer.tables.paths import shown_path
from spark_infer.tables.publishing.move_files import refuse_lost
from spark_infer.tables.scan.read import read_task
from spark_infer.tables.scan.task import Piece, Scan, ScanTask
from spark_infer.tables.sink.sink_spec import WrittenFile
from spark_infer.tables.storage import Storage, open_storage

DAMAGED, MISSING = "name=Alice/part-0.parquet", "name=Bob/part-1.parquet"


def scan(table: Storage, path: str) -> None:
    piece = Piece(path, 4, {"name": "x"})
    list(read_task(ScanTask(0, (piece,)), Scan(uri=table.uri, schema=pa.schema({"x": pa.int64()}))))


RAISES: dict[str, tuple[Callable[[Storage], object], str]] = {
    "a damaged footer": (lambda table: read_footers(table, [DAMAGED]), DAMAGED),
    "a missing footer": (lambda table: read_footers(table, [MISSING]), MISSING),
    "a damaged file": (lambda table: scan(table, DAMAGED), DAMAGED),
    "a missing file": (lambda table: scan(table, MISSING), MISSING),
    "a file of a worker": (
        lambda table: check_files(table, [WrittenFile(path=MISSING, size=1, rows=1)], rows=1),
        MISSING,
    ),
    "a published file": (lambda table: refuse_lost(table, [MISSING]), MISSING),
    "a stray file": (lambda table: refuse_stray("t", [DAMAGED], ["name", "b"]), DAMAGED),
}


@pytest.mark.parametrize("name", RAISES)
def test_an_error_names_the_file_and_the_log_its_whole_path(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fails, path = RAISES[name]
    (tmp_path / DAMAGED).parent.mkdir()
    (tmp_path / DAMAGED).write_bytes(b"PAR1")
    table = open_storage(f"file://{tmp_path}")
    assert table is not None
    with caplog.at_level("INFO"), pytest.raises(SparkInferError) as refused:
        fails(table)
    assert f"name=…/{Path(path).name} (the log has the whole path)" in str(refused.value)
    assert not {"Alice", "Bob"} & set(str(refused.value).replace("/", " ").replace("=", " ").split())
    assert [record.levelname for record in caplog.records if path in record.getMessage()] == ["INFO"]


def test_a_path_without_values_is_shown_as_it_is() -> None:
    assert shown_path("/data/t/part-0.parquet") == "/data/t/part-0.parquet"
