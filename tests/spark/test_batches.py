from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from spark_infer import score_table
from spark_infer.engines.spark import whole_write
from spark_infer.spark.batches import batch_settings, row_bytes
from spark_infer.spark.tables.write import stage
from spark_infer.tables.sink.sink_spec import WrittenFile
from tests.spark.made import FlowerModel

BYTES = "spark.sql.execution.arrow.maxBytesPerBatch"
ROWS = "spark.sql.execution.arrow.maxRecordsPerBatch"
NUMBERS = [pa.field(f"x{i}", pa.float64()) for i in range(30)]


@pytest.mark.parametrize(
    ("types", "width"),
    [
        ([], 0),
        ([pa.float64(), pa.int32(), pa.bool_(), pa.date32(), pa.decimal128(38, 9)], 9 + 5 + 2 + 5 + 17),
        ([pa.float64(), pa.string()], None),
        ([pa.list_(pa.int8())], None),
        ([pa.struct([("a", pa.int8())])], None),
    ],
)
def test_a_row_has_a_width_where_all_its_columns_have_one(types: list[pa.DataType], width: int | None) -> None:
    assert row_bytes([pa.field(f"c{i}", each) for i, each in enumerate(types)]) == width


def test_the_check_is_lifted_under_sparks_own_defaults(spark: SparkSession) -> None:
    for name in (BYTES, ROWS):
        spark.conf.unset(name)
    assert batch_settings(spark, NUMBERS) == {BYTES: str(2**31 - 1)}


@pytest.fixture
def conf(spark: SparkSession) -> Iterator[dict[str, str]]:
    before = {name: str(spark.conf.get(name)) for name in (BYTES, ROWS)}
    yield before
    for name in before:
        spark.conf.unset(name)


@pytest.mark.parametrize(
    ("most_rows", "most_bytes", "lifted"),
    [
        (10_000, 10_000 * 270, True),  # 30 x (8 + 1) bytes a row: exactly what may be
        (10_001, 10_000 * 270, False),
        (0, 2**26, False),  # any number of rows
        (10_000, 2**31 - 1, False),  # no check to lift
    ],
)
def test_the_check_is_lifted_where_it_could_never_find_too_many(
    spark: SparkSession, conf: dict[str, str], most_rows: int, most_bytes: int, lifted: bool
) -> None:
    spark.conf.set(ROWS, most_rows)
    spark.conf.set(BYTES, most_bytes)
    assert batch_settings(spark, NUMBERS) == ({BYTES: str(2**31 - 1)} if lifted else {})
    assert batch_settings(spark, [*NUMBERS, pa.field("text", pa.string())]) == {}


def test_a_job_lifts_it_for_its_own_write_alone(
    spark: SparkSession, flower: FlowerModel, conf: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def watched(*given: Any, last: bool) -> list[WrittenFile]:
        seen.append(str(spark.conf.get(BYTES)))
        return stage(*given, last=last)

    monkeypatch.setattr(whole_write, "stage", watched)
    rows = spark.createDataFrame(flower.rows)
    rows.select("id", "width", "height", "weight").write.parquet(str(tmp_path / "numbers"))
    rows.selectExpr("*", "'n' AS note").write.parquet(str(tmp_path / "texts"))
    for name in ("numbers", "texts"):
        target = {"path": str(tmp_path / "out" / name), "keep": "all"}
        score_table(spark, source=str(tmp_path / name), target=target, model=flower.folder, plane="spark")
    assert seen == [str(2**31 - 1), conf[BYTES]]
    assert spark.conf.get(BYTES) == conf[BYTES]
