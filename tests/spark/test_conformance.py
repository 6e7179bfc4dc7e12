"""The conformance suite of table formats with Spark, which reads, scores and writes by itself."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from spark_infer.tables.formats import FORMATS
from tests.conformance.writes import CASES, Writes
from tests.spark.tables.seen import no_spark_job

# Where Spark commits what it writes, nothing is sealed before.
# Whether a run goes on is decided without Spark: one mode that adds rows and one that replaces them show it here.
OFTEN = ("error_if_exists_goes_on", "overwrite_goes_on")
ONE_FORMAT = ("append_goes_on_after_published", "overwrite_partitions_goes_on_after_sealed")
PAIRS = [
    pytest.param(
        name,
        case,
        id=f"{name}-{case.__name__}",
        marks=[pytest.mark.soak]
        if case.__name__.startswith(OFTEN) or (not each.spark_commits and case.__name__ in ONE_FORMAT)
        else [],
    )
    for name, each in FORMATS.items()
    for case in CASES
    if not (each.spark_commits and case.__name__.endswith("_sealed"))
]


@pytest.mark.parametrize(("kind", "case"), PAIRS)
def test_a_format_keeps_what_a_job_promises(
    spark: SparkSession,
    line: str,
    tmp_path: Path,
    breaks: Callable[[str], None],
    kind: str,
    case: Callable[[Writes], None],
) -> None:
    case(Writes(tmp_path, kind, line, {"plane": "spark"}, (spark,), breaks, partial(no_spark_job, spark)))
