"""A job file gives the same table on each version of Spark: every one is held to the same values, bits and types."""

from __future__ import annotations

import datetime as dt
import decimal
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import deltalake
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from spark_infer import ScoringJob
from tests.jvm import CALENDAR
from tests.spark.mixed import OUTPUTS, answer
from tests.types.rows import same_bits

ROWS = 100
DAY = dt.datetime(2026, 3, 29, 1, 59, 59, 999999)
KEPT: dict[str, tuple[str, pa.DataType, list[Any]]] = {
    "id": ("long", pa.int64(), [*range(ROWS)]),
    "flag": ("boolean", pa.bool_(), [True, False, None, True]),
    "tiny": ("byte", pa.int8(), [-(2**7), 0, None, 2**7 - 1]),
    "short": ("short", pa.int16(), [-(2**15), 0, None, 2**15 - 1]),
    "whole": ("integer", pa.int32(), [-(2**31), 0, None, 2**31 - 1]),
    "big": ("long", pa.int64(), [-(2**63), 2**53 + 1, None, 2**63 - 1]),
    "single": ("float", pa.float32(), [-0.0, float("nan"), None, 1.4e-45]),
    "double": ("double", pa.float64(), [-0.0, float("inf"), None, 5e-324]),
    "money": (
        "decimal(38,10)",
        pa.decimal128(38, 10),
        [decimal.Decimal("-0.0000000001"), None, decimal.Decimal(10**27)],
    ),
    "text": ("string", pa.string(), ["", "größe 🙂", None, "a\x00b"]),
    "bytes": ("binary", pa.binary(), [b"", b"\x00\xff", None]),
    "day": ("date", pa.date32(), [dt.date(1, 1, 1), dt.date(1582, 10, 4), None, dt.date(9999, 12, 31)]),
    "at": (
        "timestamp",
        pa.timestamp("us", "UTC"),
        [DAY.replace(tzinfo=dt.timezone.utc), None, dt.datetime(1582, 10, 4, tzinfo=dt.timezone.utc)],
    ),
    "clock": ("timestamp_ntz", pa.timestamp("us"), [DAY, None, dt.datetime(1, 1, 1)]),
    "list": ("array", pa.list_(pa.int32()), [[], [1, None], None]),
    "place": (
        "struct",
        pa.struct([("x", pa.float64()), ("tags", pa.list_(pa.string()))]),
        [{"x": None, "tags": ["a"]}, None],
    ),
    "pairs": ("map", pa.map_(pa.string(), pa.int64()), [[("a", 1), ("b", None)], [], None]),
}
"""Name to Spark's name of its type, Arrow's, and the values that take turns."""
MADE = {
    "half": "double", "small": "float", "twice": "long", "count": "integer", "even": "boolean", "word": "string",
    "raw": "binary", "due": "date", "numbers": "array",
}  # fmt: skip


def source() -> pa.Table:
    columns = {
        name: pa.array([values[row % len(values)] for row in range(ROWS)], kind)
        for name, (_, kind, values) in KEPT.items()
    }
    return pa.table(columns)


def expected() -> pa.Table:
    kept = source().to_batches()[0]
    made = answer(kept)
    return pa.table([*kept.columns, *made.columns], names=[*kept.schema.names, *made.schema.names])


@contextmanager
def without(spark: SparkSession, *names: str) -> Iterator[None]:
    """Have the session take Spark's own defaults, which differ between versions."""
    before = {name: spark.conf.get(name) for name in names}
    for name in names:
        spark.conf.unset(name)
    try:
        yield
    finally:
        for name, value in before.items():
            spark.conf.set(name, str(value))


def types_of(schema: str) -> dict[str, str]:
    fields = json.loads(schema)["fields"]
    return {each["name"]: each["type"] if isinstance(each["type"], str) else each["type"]["type"] for each in fields}


@pytest.mark.matrix
@pytest.mark.parametrize("plane", ["spark", "direct"])
@pytest.mark.parametrize("kind", ["delta", "parquet"])
def test_a_job_file_gives_the_same_bits_and_types(spark: SparkSession, tmp_path: Path, kind: str, plane: str) -> None:
    pq.write_table(source(), tmp_path / "in.parquet")
    (tmp_path / "job.yaml").write_text(
        f"""
model: {{python: "tests.spark.mixed:answer", batch_format: pyarrow}}
source: {{path: {tmp_path}/in.parquet, format: parquet}}
target: {{path: {tmp_path}/out, format: {kind}, mode: append}}
plane: {plane}
score:
  inputs: id long
  result_type: {json.dumps(OUTPUTS)}
"""
    )
    with without(spark, *CALENDAR):
        report = ScoringJob.from_yaml(tmp_path / "job.yaml").run(spark)
    assert report.plane.startswith(f"{plane}:")
    types = {name: kind for name, (kind, _, _) in KEPT.items()} | MADE
    if kind == "delta":
        written = deltalake.DeltaTable(str(tmp_path / "out"))
        schema, rows = written.schema().to_json(), written.to_pyarrow_table()
    else:
        rows = pq.read_table(tmp_path / "out")
        schema = (
            pq.read_schema(next((tmp_path / "out").glob("*.parquet")))
            .metadata[b"org.apache.spark.sql.parquet.row.metadata"]
            .decode()
        )
    assert {name: kind for name, kind in types_of(schema).items() if name in types} == types
    rows, wanted = rows.sort_by("id").combine_chunks(), expected()
    assert rows.num_rows == ROWS
    different = [name for name in types if not same_bits(rows[name].combine_chunks(), wanted[name].combine_chunks())]
    assert different == []
