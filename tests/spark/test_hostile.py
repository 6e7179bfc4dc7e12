"""Tables that somebody else made to do harm, through engine `spark`: both planes, and what is around them."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from spark_infer import ScoringJob
from spark_infer.config import JobConfig
from tests.hostile_tables import TABLES, check

_SAME = ("a footer that lies", "links that loop", "a log that names one in disguise", "a link to another folder")
"""What is the same for Spark, whoever reads."""
_SLOW = "a large text that repeats"
_CASES = [
    *((name, "auto") for name in TABLES),
    *(
        pytest.param(name, "spark", marks=pytest.mark.soak if name == _SLOW else ())
        for name in TABLES
        if name not in _SAME
    ),
]


@pytest.mark.parametrize(("name", "plane"), _CASES)
def test_a_hostile_table_is_refused_or_scored_and_nothing_around_it_is_touched(
    spark: SparkSession, line: str, tmp_path: Path, name: str, plane: str
) -> None:
    TABLES[name].make(tmp_path)
    document = {
        "model": {"uri": line},
        "source": {"path": str(tmp_path / "in")},
        "target": {"path": str(tmp_path / "out"), "format": "parquet"},
        "score": {"max_batch_bytes": 2**23},
        "plane": plane,
    }
    expected = TABLES[name].by_spark if plane == "spark" else TABLES[name].spark
    check(ScoringJob(JobConfig.model_validate(document)), tmp_path, expected, spark)
