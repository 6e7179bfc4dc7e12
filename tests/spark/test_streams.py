"""A stream adds the predictions of each micro-batch exactly once, on the path of table jobs."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from mlflow.models import infer_signature
from pyspark.sql import SparkSession

from spark_infer import Report, ScoringJob, score_stream
from spark_infer.config import JobConfig
from spark_infer.errors import PlanError, RunError, SourceReadError, TargetError, WriteError
from spark_infer.runtime.failpoints import InjectedError
from tests.line import save_line


def add(here: Path, *ids: int) -> None:
    """Append rows to the source, as one file: ``id`` and ``x`` = id."""
    rows = pa.table({"id": list(ids), "x": [float(each) for each in ids]})
    write_deltalake(str(here / "in"), rows, mode="append")


def predictions(here: Path) -> dict[int, float]:
    rows = DeltaTable(here / "out").to_pyarrow_table().to_pylist()
    found = {row["id"]: row["prediction"] for row in rows}
    assert len(found) == len(rows)
    return found


def run(spark: SparkSession, model: str, here: Path, target: Any = None, **options: Any) -> Report:
    target = target or str(here / "out")
    report: Report = score_stream(
        str(here / "in"), target, model, checkpoint=here / "checkpoint", spark=spark, **options
    )
    return report


def put_back(here: Path) -> None:
    """Have the checkpoint be at micro-batch 2 again, which is planned and not done."""
    for name in ("commits/2", "commits/3", "offsets/3"):
        folder, batch = (here / "checkpoint" / name).parent, name[-1]
        for file in (folder / batch, folder / f".{batch}.crc"):
            file.unlink(missing_ok=True)


def test_a_stream_scores_what_is_there_and_what_comes_and_a_batch_that_is_run_again_adds_nothing(
    spark: SparkSession, line: str, tmp_path: Path, breaks: Any
) -> None:
    add(tmp_path, 1, 2)
    add(tmp_path, 3)
    report = run(spark, line, tmp_path, stream_options={"maxFilesPerTrigger": 1})
    assert (report.rows_scored, report.micro_batches, report.target_versions) == (3, 2, (1, 2))
    assert run(spark, line, tmp_path).nothing_new
    add(tmp_path, 4)
    breaks("published:1:raise")  # the commit is there, and Spark does not know
    with pytest.raises(InjectedError):
        run(spark, line, tmp_path)
    breaks("")
    add(tmp_path, 5)
    report = run(spark, line, tmp_path)
    assert (report.rows_scored, report.micro_batches, report.target_version) == (1, 1, 4)
    assert predictions(tmp_path) == pytest.approx({each: 2.0 * each for each in (1, 2, 3, 4, 5)})
    put_back(tmp_path)
    with pytest.raises(WriteError, match="has micro-batch 3 of this stream, and the checkpoint is at 2"):
        run(spark, line, tmp_path)
    (tmp_path / "out").rename(tmp_path / "gone")
    with pytest.raises(TargetError, match="is gone, and the checkpoint of the stream says that it held rows"):
        run(spark, line, tmp_path)


def test_a_job_file_runs_a_stream_which_refuses_changed_rows_unless_it_is_to_pass_over_them(
    spark: SparkSession, line: str, tmp_path: Path
) -> None:
    add(tmp_path, 1, 2, 5)
    document = {
        "model": {"uri": line},
        "source": {"path": str(tmp_path / "in"), "where": "id < 5"},
        "target": {"path": str(tmp_path / "out"), "mode": "append"},
        "trigger": "available_now",
        "checkpoint": str(tmp_path / "checkpoint"),
    }
    job = ScoringJob(JobConfig.model_validate(document))
    plan = str(job.plan(spark))
    assert "micro-batches of a stream (available_now: all that is new, then it ends)" in plan
    assert not (tmp_path / "out").exists()
    assert job.run(spark).rows_scored == 2
    DeltaTable(tmp_path / "in").delete("id = 1")
    add(tmp_path, 3)
    with pytest.raises(SourceReadError, match="Detected a data update in the source table") as refused:
        job.run(spark)
    assert "skipChangeCommits" in refused.value.next_step
    assert "id = 1" not in str(refused.value)
    options = {"stream_options": {"skipChangeCommits": True}}
    ScoringJob(JobConfig.model_validate(document | options)).run(spark)
    assert predictions(tmp_path) == pytest.approx({1: 2.0, 2: 4.0, 3: 6.0})
    with pytest.raises(PlanError, match="is of another stream"):
        ScoringJob(JobConfig.model_validate(document | {"name": "nightly"})).plan(spark)


@pytest.fixture(scope="module")
def moody(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model that returns ``x``, and raises for 500."""
    folder = tmp_path_factory.mktemp("moody") / "model"
    example = pd.DataFrame({"x": np.arange(3.0)})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.pyfunc.save_model(
            folder,
            python_model=str(Path(__file__).parents[1] / "local/models/moody.py"),
            signature=infer_signature(example, example["x"].rename("prediction")),
            pip_requirements=["pandas"],
        )
    return str(folder)


def test_bad_rows_of_a_micro_batch_go_to_the_quarantine_once_also_when_the_model_changes_in_between(
    spark: SparkSession, moody: str, line: str, tmp_path: Path, breaks: Any
) -> None:
    aside: dict[str, Any] = {"on_error": "quarantine", "max_bad_rows": 2, "target": {"keep": ["x"]}}
    aside["preprocess"] = "tests.spark.made_steps:same"
    aside["target"]["path"] = str(tmp_path / "out")
    aside["quarantine"] = {"path": str(tmp_path / "bad"), "columns": ["id"]}

    def tables() -> tuple[dict[float, float], list[tuple[Any, ...]]]:
        out, bad = (DeltaTable(tmp_path / name).to_pyarrow_table().to_pylist() for name in ("out", "bad"))
        found = {row["x"]: row["prediction"] for row in out}
        assert len(found) == len(out)
        return found, [(row["id"], row["error_class"], row["unit"], row["run_id"]) for row in bad]

    add(tmp_path, 1, 500, 3)
    for _ in range(2):
        breaks("quarantined:1:raise")  # its bad row is published, and the others are not
        with pytest.raises(InjectedError, match="fault at quarantined"):
            run(spark, moody, tmp_path, **aside)
        assert (tables()[0], len(tables()[1])) == ({}, 1)
    breaks("")
    run(spark, line, tmp_path, **aside)  # which does not fail for it
    assert tables()[0] == pytest.approx({1: 2.0, 500: 1000.0, 3: 6.0})
    assert tables()[1] == []
    add(tmp_path, 500, 4)
    report = run(spark, moody, tmp_path, **aside)
    assert (report.rows_read, report.rows_scored, report.rows_quarantined) == (2, 1, 1)
    assert report.error_classes == {"ValueError": 1}
    assert tables()[0] == pytest.approx({1: 2.0, 500: 1000.0, 3: 6.0, 4: 4.0})
    assert tables()[1] == [(500, "ValueError", 1, report.run_id)]
    add(tmp_path, 500, 500, 500)
    with pytest.raises(RunError, match="max_bad_rows is 2"):
        run(spark, moody, tmp_path, **aside)
    assert DeltaTable(tmp_path / "out").version() == 2


def test_an_interval_returns_a_query_whose_model_is_that_of_its_start_unless_it_is_to_be_refreshed(
    spark: SparkSession, tmp_path: Path
) -> None:
    model = save_line(tmp_path / "model", slope=2.0)
    queries, outs = [], [tmp_path / "pinned" / "out", tmp_path / "refreshed" / "out"]
    add(tmp_path, 1)
    for out in outs:
        how: dict[str, Any] = {"trigger": "1 second", "refresh_model": out is outs[1], "spark": spark}
        queries.append(score_stream(str(tmp_path / "in"), str(out), model, checkpoint=out.parent / "checkpoint", **how))
    for query in queries:
        query.processAllAvailable()
    shutil.rmtree(model)
    save_line(tmp_path / "model", slope=3.0)
    add(tmp_path, 10)
    for query in queries:
        query.processAllAvailable()
        query.stop()
    assert [predictions(out.parent) for out in outs] == [
        pytest.approx({1: 2.0, 10: 20.0}),
        pytest.approx({1: 2.0, 10: 30.0}),
    ]
