from __future__ import annotations

import json
import os
import socket
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import deltalake
import mlflow
import pandas as pd
import pyarrow.parquet as pq
import pytest
from mlflow.models import ModelSignature
from mlflow.pyfunc.model import PythonModel
from mlflow.types import ColSpec, Schema
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_infer import Report, ScoringJob, score_table
from spark_infer.config import JobConfig
from spark_infer.errors import (
    ConfigError,
    ModelNotFoundError,
    ModelRefusedError,
    PredictError,
    RegistryUnavailableError,
    SchemaMismatchError,
    SourceError,
    SourceReadError,
    SparkInferError,
    StepFailedError,
    TargetError,
    WriteError,
)
from spark_infer.observe.progress import Progress
from tests.spark.made import BIG, CountingModel, FlowerModel


@pytest.fixture(scope="module")
def garden(spark: SparkSession, flower: FlowerModel, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The flowers as a Delta table of three partitions; every tenth width is null."""
    path = str(tmp_path_factory.mktemp("garden") / "flowers")
    frame = spark.createDataFrame(flower.rows).withColumn("bed", (F.col("id") % 3).cast("int"))
    gaps = frame.withColumn("note", F.when(F.col("id") % 10 == 0, None).otherwise(F.lit("n")))
    gaps.write.format("delta").partitionBy("bed").save(path)
    return path


@pytest.fixture
def table_files() -> Callable[[Path], dict[str, bytes]]:
    """Reads all files below a folder but those of ledgers."""

    def content(folder: Path) -> dict[str, bytes]:
        files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        return {str(path): path.read_bytes() for path in files if ".spark_infer/" not in str(path)}

    return content


@contextmanager
def no_job(spark: SparkSession) -> Iterator[None]:
    tracker = spark.sparkContext.statusTracker()
    before = tracker.getJobIdsForGroup(None)
    yield
    assert tracker.getJobIdsForGroup(None) == before


def read(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = deltalake.DeltaTable(str(path)).to_pyarrow_table().to_pylist()
    return rows


def run(spark: SparkSession, garden: str, model: str, target: dict[str, Any], **more: Any) -> Report:
    report: Report = score_table(spark, source=more.pop("source", garden), target=target, model=model, **more)
    return report


@pytest.mark.matrix
def test_the_table_read_by_another_reader_is_the_model_in_plain_python(
    spark: SparkSession, garden: str, flower: FlowerModel, tmp_path: Path
) -> None:
    out = tmp_path / "scored"
    report = run(spark, garden, flower.folder, {"path": str(out), "format": "delta", "keep": ["id", "note", "bed"]})
    rows = read(out)
    assert {row["id"]: row["prediction"] for row in rows} == flower.expected
    assert {row["id"]: row["note"] for row in rows} == {id: None if id % 10 == 0 else "n" for id in flower.expected}
    assert len(rows) == report.rows_read == report.rows_scored == len(flower.rows)
    assert {row["model_name"] for row in rows} == {"flower"}
    assert {row["model_version"] for row in rows} == {report.model_version}
    assert {row["scored_at"] for row in rows} == {report.started_at}


def test_the_commit_tells_the_facts_of_the_run(
    spark: SparkSession, garden: str, flower: FlowerModel, tmp_path: Path
) -> None:
    out = tmp_path / "scored"
    report = run(spark, garden, flower.folder, {"path": str(out), "format": "delta"}, name="nightly")
    facts = json.loads(deltalake.DeltaTable(str(out)).history(1)[0]["userMetadata"])
    assert facts["run_id"] == report.run_id
    assert facts["job"] == "nightly"
    assert facts["model_digest"] == report.model_digest
    assert facts["source_version"] == 0


def test_the_report_counts_loads_and_hits(spark: SparkSession, counting: CountingModel, tmp_path: Path) -> None:
    source = str(tmp_path / "numbers")
    spark.range(400, numPartitions=8).select("id", F.col("id").cast("double").alias("x")).write.parquet(source)
    report = run(spark, source, counting.folder, {"path": str(tmp_path / "out"), "format": "parquet"}, backend="pyfunc")
    # The driver loads and tries the model too.
    worker_loads = [pid for pid in counting.loads() if pid != os.getpid()]
    assert report.loads == len(worker_loads) == report.workers
    assert report.loads + report.cache_hits >= 2
    assert sum(rows for pid, rows in counting.predicts() if pid != os.getpid()) == report.rows_scored == 400
    assert report.task_seconds["load"] > 0
    assert report.seconds["total"] >= report.seconds["score_and_write"] > 0


class Picky(PythonModel):
    """Returns a column ``cost``, and raises on a zero."""

    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        if (model_input["width"] == 0).any():
            raise ZeroDivisionError
        return pd.DataFrame({"cost": 1 / model_input["width"]})


@pytest.mark.filterwarnings("ignore::UserWarning:mlflow")
def test_a_model_is_tried_before_any_task(spark: SparkSession, garden: str, tmp_path: Path) -> None:
    inputs = Schema([ColSpec("double", "width")])
    examples = {"cost": None, "price": pd.DataFrame({"width": [2.0]})}
    for promised, example in examples.items():
        signature = ModelSignature(inputs, Schema([ColSpec("double", promised)]))
        how = {"signature": signature, "input_example": example, "pip_requirements": ["pandas"]}
        mlflow.pyfunc.save_model(tmp_path / promised, python_model=Picky(), **how)
    target = {"path": str(tmp_path / "out"), "format": "delta"}
    with pytest.raises(ModelRefusedError, match="does not return what was promised for it"):
        run(spark, garden, str(tmp_path / "price"), target)
    honest = {"model": {"uri": str(tmp_path / "cost")}, "source": {"path": garden}, "target": target}
    (warning,) = ScoringJob(JobConfig.model_validate(honest)).plan(spark).warnings
    assert warning.startswith("the model was tried with rows of zeros and empty texts and raised builtins.ZeroDivision")


@pytest.mark.matrix
def test_parquet_goes_in_and_out(spark: SparkSession, flower: FlowerModel, tmp_path: Path) -> None:
    spark.createDataFrame(flower.rows).write.parquet(str(tmp_path / "in"))
    target = {
        "path": str(tmp_path / "out"),
        "format": "parquet",
        "keep": ["id"],
        "model_name_column": None,
        "model_version_column": None,
        "scored_at_column": None,
        "output": {"prediction": "label"},
    }
    report = run(spark, str(tmp_path / "in"), flower.folder, target)
    table = pq.read_table(tmp_path / "out")
    assert table.column_names == ["id", "label"]
    rows = zip(table.column("id").to_pylist(), table.column("label").to_pylist(), strict=True)
    assert dict(rows) == flower.expected
    assert report.rows_scored == len(flower.rows)


@pytest.mark.matrix
def test_a_partition_is_scored_again_and_the_others_stay(
    spark: SparkSession, garden: str, flower: FlowerModel, tmp_path: Path
) -> None:
    out = tmp_path / "scored"
    target = {"path": str(out), "format": "delta", "partition_by": ["bed"]}
    first = run(spark, garden, flower.folder, target)
    again = run(
        spark,
        garden,
        flower.folder,
        {**target, "mode": "overwrite_partitions", "partitions": {"bed": [1]}},
        source={"path": garden, "partition_filter": {"bed": [1]}},
    )
    rows = read(out)
    assert {row["id"]: row["prediction"] for row in rows} == flower.expected
    assert len(rows) == len(flower.rows)
    assert {row["bed"] == 1 for row in rows if row["scored_at"] == again.started_at} == {True}
    assert {row["bed"] for row in rows if row["scored_at"] == first.started_at} == {0, 2}


@pytest.mark.soak  # what a writer does with a name is in tables/test_catalog_tables.py
@pytest.mark.parametrize("format_", ["delta", "parquet"])
def test_a_table_of_the_catalog_is_made_and_replaced(
    format_: str, spark: SparkSession, garden: str, flower: FlowerModel
) -> None:
    table = f"scored_flowers_{format_}"
    target = {"table": table, "format": format_, "keep": ["id"]}
    try:
        for mode in ("error_if_exists", "overwrite", "append"):
            report = run(spark, garden, flower.folder, {**target, "mode": mode}, name=mode)
            assert report.rows_scored == len(flower.rows)
        rows = spark.table(table).collect()
        assert len(rows) == 2 * len(flower.rows)
        assert {row.id: row.prediction for row in rows} == flower.expected
    finally:
        spark.sql(f"DROP TABLE IF EXISTS {table}")


def test_a_new_table_has_the_partitions_that_the_job_may_replace(
    spark: SparkSession, garden: str, flower: FlowerModel, tmp_path: Path
) -> None:
    source = {"path": garden, "partition_filter": {"bed": 1}}
    target = {"path": str(tmp_path / "o"), "mode": "overwrite_partitions", "partitions": {"bed": 1}}
    run(spark, garden, flower.folder, target, source=source)
    assert deltalake.DeltaTable(str(tmp_path / "o")).metadata().partition_columns == ["bed"]


def test_a_row_outside_the_declared_partitions_stops_the_run(
    spark: SparkSession, garden: str, flower: FlowerModel, tmp_path: Path, table_files: Any
) -> None:
    target = {"path": str(tmp_path / "out"), "format": "parquet", "partition_by": ["bed"]}
    run(spark, garden, flower.folder, target)
    before = table_files(tmp_path)
    replaced = {**target, "mode": "overwrite_partitions", "partitions": {"bed": [1]}}
    with pytest.raises(TargetError, match="rows outside the table partitions"):
        run(spark, garden, flower.folder, replaced)
    with pytest.raises(WriteError, match="outside the table partitions"):  # a condition leaves it to the workers
        run(spark, garden, flower.folder, replaced, source={"path": garden, "where": "id >= 0"})
    assert table_files(tmp_path) == before


def test_progress_is_told_while_tasks_run(
    spark: SparkSession, garden: str, flower: FlowerModel, tmp_path: Path
) -> None:
    seen: list[Progress] = []
    run(spark, garden, flower.folder, {"path": str(tmp_path / "o"), "format": "delta"}, on_progress=seen.append)
    assert all(progress.rows_total == len(flower.rows) for progress in seen)


@pytest.mark.matrix
def test_the_plan_tells_everything_and_does_nothing(
    spark: SparkSession, garden: str, flower: FlowerModel, tmp_path: Path, table_files: Any
) -> None:
    config = JobConfig.model_validate(
        {
            "model": {"uri": flower.folder},
            "source": {"path": garden, "where": "note IS NOT NULL"},
            "target": {"path": str(tmp_path / "out"), "format": "delta", "keep": ["id"]},
        }
    )
    before = table_files(Path(garden))
    with no_job(spark):
        plan = ScoringJob(config).plan(spark)
    assert table_files(Path(garden)) == before
    assert not (tmp_path / "out").exists()
    text = str(plan)
    for told in ("flower version", "note IS NOT NULL", "error_if_exists", "one numpy matrix", "prediction  string"):
        assert told in text
    assert plan.read_columns == ("id", "width", "height", "weight")
    assert json.loads(json.dumps(plan.to_dict()))["model_digest"] == plan.model_digest


def shut_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


REFUSED: dict[str, tuple[Callable[[dict[str, Any], Path], dict[str, Any]], type[SparkInferError], str]] = {
    "missing model": (lambda job, _: {**job, "model": "/no/such/model"}, ModelNotFoundError, "/no/such/model"),
    "dead registry": (
        lambda job, _: {
            **job,
            "model": {"uri": "models:/flower@champion", "tracking_uri": f"http://127.0.0.1:{shut_port()}"},
        },
        RegistryUnavailableError,
        "127.0.0.1",
    ),
    "no such source": (lambda job, path: {**job, "source": str(path / "nothing")}, SourceError, "nothing"),
    "input is output": (
        lambda job, _: {**job, "target": {"path": f"file://{job['source']}/", "mode": "overwrite"}},
        TargetError,
        "source",
    ),
    "unknown condition": (
        lambda job, _: {**job, "source": {"path": job["source"], "where": "heigth > 1"}},
        SourceError,
        "height",
    ),
    "column to keep": (
        lambda job, path: {**job, "target": {"path": str(path / "o"), "format": "delta", "keep": ["idd"]}},
        SchemaMismatchError,
        "did you mean 'id'",
    ),
    "stamp clash": (
        lambda job, path: {**job, "target": {"path": str(path / "o"), "format": "delta", "model_name_column": "note"}},
        SchemaMismatchError,
        "column 'note' is there already",
    ),
    "option": (lambda job, _: {**job, "batch_sice": 5}, ConfigError, "batch_sice"),
    "preprocess": (lambda job, _: {**job, "preprocess": "nowhere:f"}, SparkInferError, "'nowhere:f'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_job_that_cannot_run_is_refused_and_changes_nothing(
    name: str, spark: SparkSession, garden: str, flower: FlowerModel, tmp_path: Path, table_files: Any
) -> None:
    change, error, message = REFUSED[name]
    job = {
        "source": garden,
        "target": {"path": str(tmp_path / "out"), "format": "delta"},
        "model": flower.folder,
    }
    before = table_files(Path(garden))
    with no_job(spark), pytest.raises(error) as refusal:
        score_table(spark, **change(job, tmp_path))
    assert message in str(refusal.value)
    assert refusal.value.next_step or refusal.value.details
    assert list(tmp_path.iterdir()) == []
    assert table_files(Path(garden)) == before


def test_an_existing_target_is_refused_and_stays(
    spark: SparkSession, garden: str, flower: FlowerModel, tmp_path: Path, table_files: Any
) -> None:
    target = {"path": str(tmp_path / "out"), "format": "delta"}
    run(spark, garden, flower.folder, target)
    before = table_files(tmp_path)
    with no_job(spark), pytest.raises(TargetError, match="exists already"):
        run(spark, garden, flower.folder, {**target, "keep": ["id", "bed"]})
    assert table_files(tmp_path) == before
    with no_job(spark):
        assert run(spark, garden, flower.folder, target).already_done
    assert table_files(tmp_path) == before


def damaged(spark: SparkSession, frame: DataFrame, path: Path) -> str:
    """A Parquet table in one of whose files a page is damaged, though its footer is sound."""
    frame.coalesce(1).write.option("compression", "none").parquet(str(path / "good"))
    (file,) = (path / "good").glob("*.parquet")
    content = bytearray(file.read_bytes())
    content[4:2_000] = b"\xff" * 1_996
    (path / "bad").mkdir()
    (path / "bad" / "part-0.parquet").write_bytes(content)
    return str(path / "bad")


def test_a_damaged_file_is_named_and_nothing_is_published(
    spark: SparkSession, flower: FlowerModel, tmp_path: Path
) -> None:
    source = damaged(spark, spark.createDataFrame(flower.rows), tmp_path)
    for format_ in ("delta", "parquet"):
        with pytest.raises(SourceReadError, match=r"part-0\.parquet"):
            run(spark, source, flower.folder, {"path": str(tmp_path / "out"), "format": format_})
        assert sorted(path.name for path in tmp_path.iterdir()) == [".out.spark_infer", "bad", "good"]
        assert not list((tmp_path / ".out.spark_infer").rglob("*.parquet"))


def test_a_failing_step_says_so_and_leaves_the_old_rows(
    spark: SparkSession, garden: str, flower: FlowerModel, tmp_path: Path, table_files: Any
) -> None:
    target = {"path": str(tmp_path / "out"), "format": "delta", "keep": ["id"]}
    run(spark, garden, flower.folder, target)
    before = table_files(tmp_path)
    with pytest.raises(StepFailedError, match="returned 0 rows"):
        run(
            spark,
            garden,
            flower.folder,
            {**target, "mode": "overwrite"},
            preprocess="tests.spark.made_steps:lose",
        )
    rows = read(tmp_path / "out")
    assert {row["id"]: row["prediction"] for row in rows} == flower.expected
    assert set(before) <= set(table_files(tmp_path))


def test_ids_beyond_doubles_survive_the_whole_way(
    spark: SparkSession, garden: str, flower: FlowerModel, tmp_path: Path
) -> None:
    run(
        spark, garden, flower.folder, {"path": str(tmp_path / "o"), "format": "delta", "keep": ["id"]}, backend="pyfunc"
    )
    assert sorted(row["id"] for row in read(tmp_path / "o")) == list(range(BIG, BIG + len(flower.rows)))


@pytest.mark.matrix
def test_a_job_file_runs_with_overrides(
    spark: SparkSession, garden: str, flower: FlowerModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GARDEN", garden)
    job = tmp_path / "job.yaml"
    job.write_text(
        f"name: nightly\nmodel: {flower.folder}\nsource: ${{secret:GARDEN}}\n"
        f"target:\n  path: {tmp_path}/out\n  format: delta\n  keep: [id]\n"
        "score:\n  postprocess:\n    - label_map: {column: prediction, labels: {small: S, tall: T}}\n"
    )
    ready = ScoringJob.from_yaml(job, [f"target.path={tmp_path}/other", "score.batch_size=100"])
    assert "${secret:GARDEN}" in str(ready.plan(spark))
    assert garden not in str(ready.plan(spark))
    report = ready.run(spark)
    assert report.source == "${secret:GARDEN}"
    history = "".join(path.read_text() for path in (tmp_path / "other" / "_delta_log").glob("*.json"))
    assert "${secret:GARDEN}" in history
    assert garden not in history
    assert {row["prediction"] for row in read(tmp_path / "other")} == {"S", "T"}
    assert not (tmp_path / "out").exists()


class Quoting(PythonModel):
    """Quotes the row that it does not take."""

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> Any:
        raise ValueError(f"no price for {model_input['city'].iloc[0]}")


@pytest.mark.matrix
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("plane", ["direct", "spark"])
def test_a_model_that_raises_is_a_predict_error_without_row_values(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plane: str
) -> None:
    mlflow.pyfunc.save_model(
        tmp_path / "model",
        python_model=Quoting(),
        signature=ModelSignature(Schema([ColSpec("string", "city")]), Schema([ColSpec("double", "price")])),
        pip_requirements=["pandas"],
    )
    spark.createDataFrame([("secret-17",)], "city string").write.format("delta").save(str(tmp_path / "in"))

    def failure() -> str:
        with pytest.raises(PredictError, match="raised on a batch of 1 rows") as failed:
            run(spark, str(tmp_path / "in"), str(tmp_path / "model"), {"path": str(tmp_path / "out")}, plane=plane)
        whole = traceback.format_exception(failed.value)
        assert not (tmp_path / "out").exists()
        return "".join(whole)

    hidden = failure()
    assert "ValueError" in hidden
    assert "secret" not in hidden
    # The value did reach the model and its message, from where a user may ask for it.
    monkeypatch.setenv("SPARK_INFER_SHOW_VALUES", "1")
    assert "no price for secret-17" in failure()
