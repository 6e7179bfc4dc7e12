"""A session knows every table format."""

from __future__ import annotations

import pytest

from spark_infer.config import JobConfig
from spark_infer.job.session import _format_conf
from spark_infer.spark.tables.spark_formats import SPARK_FORMATS, SparkFormat, SparkSource, spark_format_of
from spark_infer.tables.delta import delta_conf
from spark_infer.tables.formats import FORMATS, format_of


def test_a_session_reads_and_writes_every_table_format() -> None:
    assert list(SPARK_FORMATS) == list(FORMATS)
    parts = [each for part in (SparkSource, SparkFormat) for each in (*vars(part), *part.__annotations__)]
    named = {each for each in parts if not each.startswith("_")}
    for name in FORMATS:
        assert {each for each in dir(spark_format_of(name)) if not each.startswith("_")} == named
        assert format_of(name).is_installed()


@pytest.mark.parametrize(
    ("source", "target", "delta"),
    [
        ("parquet", "parquet", False),
        ("parquet", "delta", True),
        ("delta", "parquet", True),
        ("parquet", None, True),
        (None, None, True),
    ],
)
def test_a_session_starts_with_what_the_formats_of_a_job_may_need(
    source: str | None, target: str | None, delta: bool
) -> None:
    asked = {"source": {"path": "/s", "format": source}, "target": {"path": "/t", "format": target}}
    job = JobConfig.model_validate({**asked, "model": {"uri": "models:/m/1"}})
    assert _format_conf(job) == (delta_conf() if delta else {})
