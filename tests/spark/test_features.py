"""Jobs whose source has features: joined as of a time, stored once, and scored."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml
from deltalake import write_deltalake
from pyspark.sql import SparkSession

from spark_infer import ScoringJob
from spark_infer.config import JobConfig
from spark_infer.errors import SourceError, SourceReadError
from spark_infer.runtime.failpoints import InjectedError
from tests.local.jobs import read

PAGE = Path(__file__).parents[2] / "docs" / "features.md"


def day(number: int) -> datetime:
    return datetime(2026, 11, number, tzinfo=timezone.utc)


def write(folder: Path, name: str, rows: list[dict[str, Any]]) -> None:
    times = pa.timestamp("us", "UTC")
    table = pa.Table.from_pylist(rows)
    kinds = [pa.field(each.name, times if pa.types.is_timestamp(each.type) else each.type) for each in table.schema]
    write_deltalake(str(folder / name), table.cast(pa.schema(kinds)), mode="append")


@pytest.fixture
def config(line: str, tmp_path: Path) -> JobConfig:
    """The job of the page, on a table of six purchases."""
    document = yaml.safe_load(re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)[0])
    customers = ["ann", "ann", "bob", "ann", None, "zoe"]
    rows = [{"id": at, "customer": each, "bought_at": day(10 + at)} for at, each in enumerate(customers)]
    write(tmp_path, "purchases", rows)
    incomes = [
        ("ann", 1, 1.0),
        ("ann", 11, 2.0),
        ("ann", 12, 3.0),
        ("bob", 12, 4.0),
        ("bob", 13, 5.0),
        ("zoe", 30, 6.0),
    ]
    write(tmp_path, "income", [{"customer": who, "valid_from": day(at), "x": x} for who, at, x in incomes])
    write(tmp_path, "regions", [{"name": "ann", "region": "north"}, {"name": "bob", "region": "south"}])
    features = [{**each, "path": str(tmp_path / Path(each["path"]).name)} for each in document["source"]["features"]]
    source = {**document["source"], "path": str(tmp_path / "purchases"), "features": features}
    out = {**document["target"], "path": str(tmp_path / "out")}
    score = {"on_error": "null"}
    return JobConfig.model_validate({**document, "model": line, "source": source, "target": out, "score": score})


EXPECTED = {
    0: (1.0, "north"),
    1: (2.0, "north"),
    2: (4.0, "south"),
    3: (3.0, "north"),
    4: (None, None),
    5: (None, None),
}
"""Row to income and region: the newest income that is not newer than the purchase."""


@pytest.mark.parametrize("fault", ["storing:1", "seal:1"])
def test_a_run_that_was_stopped_goes_on_and_scores_each_row_once_with_its_features(
    spark: SparkSession, config: JobConfig, tmp_path: Path, breaks: Any, fault: str
) -> None:
    breaks(f"{fault}:raise")
    with pytest.raises(InjectedError):
        ScoringJob(config).run(spark)
    breaks("")
    if fault == "seal:1":  # what was stored is what is scored
        write(tmp_path, "income", [{"customer": "ann", "valid_from": day(2), "x": 99.0}])
        write(tmp_path, "purchases", [{"id": 9, "customer": "ann", "bought_at": day(30)}])
    else:
        assert "with features of " in str(ScoringJob(config).plan(spark))
    report = ScoringJob(config).run(spark)
    assert report.rows_scored == len(EXPECTED)
    rows = read(tmp_path / "out")
    assert {row["id"]: (row["x"], row["region"]) for row in rows} == EXPECTED
    assert [row["prediction"] for row in rows if row["x"] is not None] == [2 * row["x"] for row in rows if row["x"]]


def test_features_that_do_not_fit_are_refused_in_the_plan_and_doubled_ones_while_they_are_stored(
    spark: SparkSession, config: JobConfig, tmp_path: Path
) -> None:
    wrong = {"path": str(tmp_path / "regions"), "keys": {"customer": "nam"}}
    source = config.source.model_dump(exclude_none=True) | {"features": [wrong]}
    job = ScoringJob(JobConfig.model_validate({**config.model_dump(exclude_none=True), "source": source}))
    with pytest.raises(SourceError, match=r"features of .* cannot be joined") as raised:
        job.plan(spark)
    assert "did you mean 'name'" in str(raised.value)

    write(tmp_path, "regions", [{"name": "bob", "region": "west"}])
    with pytest.raises(SourceReadError, match=r"A key occurs more than once in the features of .*regions"):
        ScoringJob(config).run(spark)
    assert not (tmp_path / "out").exists()
