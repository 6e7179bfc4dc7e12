from __future__ import annotations

import math
import pickle
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import mlflow
import pytest
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_infer import SparkInferError, model_udf, score
from spark_infer.errors import (
    ConfigError,
    ModelNotFoundError,
    ModelRefusedError,
    PlanError,
    SchemaMismatchError,
    SourceError,
    StepError,
    StepFailedError,
)
from spark_infer.spark.exceptions import translate
from tests.forecast import DAYS, Forecast, save_forecast
from tests.spark.made import BIG, CountingModel, FlowerModel
from tests.spark.since import HAS_INTERVALS


@pytest.fixture
def flowers(spark: SparkSession, flower: FlowerModel) -> DataFrame:
    return spark.createDataFrame(flower.rows)


@pytest.fixture
def jobs(spark: SparkSession) -> Callable[[], int]:
    tracker = spark.sparkContext.statusTracker()
    return lambda: len(tracker.getJobIdsForGroup(None))


def labels(scored: DataFrame) -> dict[int, Any]:
    return {row.id: row.prediction for row in scored.select("id", "prediction").collect()}


@pytest.mark.matrix
def test_every_row_has_the_prediction_of_the_same_model_in_plain_python(
    flowers: DataFrame, flower: FlowerModel
) -> None:
    assert labels(score(flowers, Path(flower.folder))) == flower.expected


def test_the_models_name_and_version_are_columns_where_they_are_asked_for(
    flowers: DataFrame, flower: FlowerModel, jobs: Callable[[], int]
) -> None:
    scored = score(flowers, flower.folder, keep="id", model_name_column="model", model_version_column="model.version")
    ref = model_udf(flowers.sparkSession, flower.folder).model
    assert scored.columns == ["id", "prediction", "model", "model.version"]
    assert scored.select("model", "`model.version`").distinct().collect() == [("flower", ref.version)]
    assert score(flowers, flower.folder, keep="id", model_version_column="v").columns == ["id", "prediction", "v"]
    before = jobs()
    with pytest.raises(SchemaMismatchError, match="'ID' is there already"):
        score(flowers, flower.folder, keep="id", model_name_column="ID")
    assert jobs() == before


@pytest.mark.parametrize("backend", ["sklearn", pytest.param("pyfunc", marks=pytest.mark.soak)])
def test_shuffled_and_extra_columns_change_nothing(backend: str, flowers: DataFrame, flower: FlowerModel) -> None:
    shuffled = flowers.select(
        F.lit("x").alias("a.b"), "weight", (F.col("id") % 7).alias("extra"), "height", "id", "width"
    )
    scored = score(shuffled, flower.folder, backend=backend, batch_size=77)
    assert scored.columns == ["a.b", "weight", "extra", "height", "id", "width", "prediction"]
    assert labels(scored) == flower.expected


def test_a_stream_is_scored_by_score_and_by_model_udf(
    spark: SparkSession, flowers: DataFrame, flower: FlowerModel, tmp_path: Path
) -> None:
    flowers.repartition(3).write.parquet(str(tmp_path / "in"))
    stream = spark.readStream.schema(flowers.schema).option("maxFilesPerTrigger", 2).parquet(str(tmp_path / "in"))
    wide = stream.select("*", *(F.col("id").alias(f"kept_{number}") for number in range(16)))
    predict = model_udf(spark, flower.folder)
    streams = {
        "score": score(stream, flower.folder, keep=["id"], where="id IS NOT NULL"),
        "score_wide": score(wide, flower.folder),
        "model_udf": stream.select("id", predict().alias("prediction")),
    }
    for name, scored in streams.items():
        assert scored.isStreaming
        query = scored.writeStream.format("memory").queryName(name).trigger(availableNow=True).start()
        assert query.awaitTermination(120)
        assert len(query.recentProgress) == 2  # micro-batches of two files and of one
        assert spark.table(name).count() == len(flower.expected)
        assert labels(spark.table(name)) == flower.expected


def test_only_what_is_kept_comes_back(flowers: DataFrame, flower: FlowerModel) -> None:
    scored = score(flowers, flower.folder, keep=["id"], output="label", where=f"id < {BIG + 10}")
    assert scored.columns == ["id", "label"]
    assert sorted(row.id for row in scored.collect()) == list(range(BIG, BIG + 10))


@pytest.mark.matrix
def test_all_outputs_come_back_as_named_typed_columns(flowers: DataFrame, flower: FlowerModel) -> None:
    scored = score(
        flowers,
        flower.folder,
        keep=["id"],
        predict_method=["predict", "predict_proba"],
        postprocess=[{"kind": "threshold", "column": "probability_tall", "at": 0.5, "output": "is_tall"}],
    )
    assert scored.schema.simpleString() == (
        "struct<id:bigint,prediction:string,probability_small:double,probability_tall:double,is_tall:boolean>"
    )
    for row in scored.limit(50).collect():
        assert row.prediction == flower.expected[row.id]
        assert row.is_tall is (row.prediction == "tall")
        assert row.probability_small + row.probability_tall == pytest.approx(1)


def test_several_outputs_pack_into_one_struct(flowers: DataFrame, flower: FlowerModel) -> None:
    scored = score(flowers, flower.folder, keep=["id"], output="scores", predict_method="predict_proba")
    assert scored.schema["scores"].dataType.simpleString() == "struct<probability_small:double,probability_tall:double>"


@pytest.mark.matrix
def test_kept_columns_are_bit_exact(spark: SparkSession, counting: CountingModel) -> None:
    rows = [
        (BIG, None, 1.0, "None", bytearray(b"\x00"), None),
        (None, BIG, float("nan"), None, None, [1, None]),
        (-(2**63), 2**63 - 1, None, "", bytearray(), []),
    ]
    frame = spark.createDataFrame(rows, "a long, b long, d double, s string, y binary, l array<int>").withColumn(
        "x", F.lit(1.0)
    )
    back = score(frame, counting.folder, keep=["a", "b", "d", "s", "y", "l"]).collect()
    assert [(row.a, row.b, row.s, row.y, row.l) for row in back] == [
        (a, b, s, y if y is None else bytes(y), z) for a, b, _, s, y, z in rows
    ]
    assert back[0].d == 1.0
    assert math.isnan(back[1].d)
    assert back[2].d is None


def test_the_policy_for_models_holds_at_the_doors_of_columns_and_frames(
    spark: SparkSession, counting: CountingModel
) -> None:
    with pytest.raises(ModelRefusedError, match="does not come from a model registry"):
        model_udf(spark, counting.folder, trust="registry")
    with pytest.raises(ModelRefusedError, match="does not come from a model registry"):
        score(spark.range(1).selectExpr("double(id) AS x"), counting.folder, trust="registry")
    (Path(counting.folder) / "notes.md").write_bytes(pickle.dumps(Path("x")))
    with pytest.raises(ModelRefusedError, match="holds 1 pickle"):
        model_udf(spark, counting.folder, refuse_pickle=True)
    (Path(counting.folder) / "notes.md").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    for door in (partial(model_udf, spark), partial(score, spark.range(1).selectExpr("double(id) AS x"))):
        with pytest.raises(ModelRefusedError, match="scan_pickle is set"):
            door(counting.folder, scan_pickle=True)
    assert counting.loads() == []


def test_a_model_is_loaded_once_for_each_python_worker(spark: SparkSession, counting: CountingModel) -> None:
    frame = spark.range(20_000, numPartitions=60).select(F.col("id").cast("double").alias("x"))
    scored = score(frame, counting.folder)
    scored.write.format("noop").mode("overwrite").save()
    workers = {pid for pid, _ in counting.predicts()}
    assert sorted(counting.loads()) == sorted(workers)
    assert len(workers) < 30  # of 60 tasks; Spark takes turns with the workers that earlier queries left idle
    assert counting.rows() == 20_000
    # Another action, and another call of score, find the model loaded.
    scored.count()
    score(frame, counting.folder, keep=[]).write.format("noop").mode("overwrite").save()
    assert sorted(counting.loads()) == sorted({pid for pid, _ in counting.predicts()})


def test_mlflow_loads_once_for_each_task(spark: SparkSession, counting: CountingModel) -> None:
    predict = mlflow.pyfunc.spark_udf(spark, counting.folder, result_type="double", env_manager="local")
    counting.forget()
    frame = spark.range(60, numPartitions=6).select(predict(F.col("id").cast("double")))
    frame.write.format("noop").mode("overwrite").save()
    assert len(counting.loads()) == 6


@pytest.mark.matrix
def test_a_filter_on_the_prediction_predicts_each_row_once(spark: SparkSession, counting: CountingModel) -> None:
    frame = spark.range(1_000).select("id", F.col("id").cast("double").alias("x"))
    scored = score(frame, counting.folder).filter("prediction >= 1000").withColumn("more", F.col("prediction") + 1)
    counting.forget()
    assert scored.filter("more > 0").count() == 500
    assert counting.rows() == 1_000


def test_each_action_predicts_each_row_once(spark: SparkSession, counting: CountingModel, tmp_path: Path) -> None:
    frame = spark.range(1_000).select("id", F.col("id").cast("double").alias("x"))
    scored = score(frame, counting.folder, where="id < 600")
    counting.forget()
    assert scored.count() == 600
    assert counting.rows() == 600
    scored.write.parquet(str(tmp_path / "out"))
    assert counting.rows() == 1_200


@pytest.mark.parametrize("arrow_rows", [7, pytest.param(10_000, marks=pytest.mark.soak)])
def test_predict_gets_full_batches_whatever_spark_sends(
    spark: SparkSession, counting: CountingModel, arrow_rows: int
) -> None:
    frame = spark.range(1_000, numPartitions=1).select(F.col("id").cast("double").alias("x"))
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", str(arrow_rows))
    try:
        score(frame, counting.folder, batch_size=300).write.format("noop").mode("overwrite").save()
    finally:
        spark.conf.unset("spark.sql.execution.arrow.maxRecordsPerBatch")
    assert [rows for _, rows in counting.predicts()] == [300, 300, 300, 100]


def test_an_empty_table_has_the_schema_and_asks_for_no_model(spark: SparkSession, counting: CountingModel) -> None:
    scored = score(spark.createDataFrame([], "id long, x double"), counting.folder)
    assert scored.schema.simpleString() == "struct<id:bigint,x:double,prediction:double>"
    assert scored.collect() == []
    assert counting.loads() == []


Refused = tuple[Callable[[DataFrame], DataFrame], dict[str, Any], type[PlanError], str]

REFUSED: dict[str, Refused] = {
    "missing": (lambda df: df.drop("width"), {}, SchemaMismatchError, "column 'width' (double) is missing"),
    "renamed": (
        lambda df: df.withColumnRenamed("width", "widht"),
        {},
        SchemaMismatchError,
        "did you mean 'widht'",
    ),
    "wrong type": (
        lambda df: df.withColumn("width", F.lit("3.0")),
        {},
        SchemaMismatchError,
        "column 'width' is string, the model takes double",
    ),
    "kept column": (lambda df: df, {"keep": ["idd"]}, SchemaMismatchError, "did you mean 'id'"),
    "clash": (lambda df: df, {"output": "width"}, SchemaMismatchError, "has the name of a column"),
    "interval": (
        lambda df: df.withColumn("gap", F.expr("make_interval(1)")),
        {},
        SchemaMismatchError,
        "column 'gap' is interval",
    ),
    "method": (lambda df: df, {"predict_method": "predict_prob"}, PlanError, "no method 'predict_prob'"),
    "parameter": (lambda df: df, {"params": {"t": 1}}, ConfigError, "params.t is not a parameter"),
    "batch size": (lambda df: df, {"batch_size": 0}, ConfigError, "batch_size"),
    "condition": (lambda df: df, {"where": "widht > 1"}, SourceError, "`widht`"),
    "one name to keep": (lambda df: df, {"keep": "idd"}, SchemaMismatchError, "correct the names in `keep`"),
    "preprocess": (lambda df: df, {"preprocess": "nowhere:f"}, StepError, "'nowhere:f' cannot be imported"),
    "postprocess": (
        lambda df: df,
        {"postprocess": [{"kind": "threshold", "column": "p", "at": 1, "output": "o"}]},
        StepError,
        "names the output 'p'",
    ),
    "result type": (lambda df: df, {"result_type": "dubble"}, ConfigError, "'dubble' is not a type"),
}


@pytest.mark.parametrize("name", [name for name in REFUSED if HAS_INTERVALS or name != "interval"])
def test_what_does_not_fit_is_refused_before_any_task(
    name: str, flowers: DataFrame, flower: FlowerModel, jobs: Callable[[], int]
) -> None:
    change, options, error, message = REFUSED[name]
    before = jobs()
    with pytest.raises(error) as refusal:
        score(change(flowers), flower.folder, **options)
    assert message in str(refusal.value)
    assert jobs() == before


def test_a_model_that_does_not_exist_is_refused(flowers: DataFrame) -> None:
    with pytest.raises(ModelNotFoundError):
        score(flowers, "/no/such/model")


def failure(scored: DataFrame) -> SparkInferError:
    with pytest.raises(PySparkException) as raised:
        scored.collect()
    translated = translate(raised.value)
    assert translated is not None, raised.value
    return translated


def test_preprocess_makes_the_model_s_columns(spark: SparkSession, flower: FlowerModel, flowers: DataFrame) -> None:
    halved = flowers.select("id", *((F.col(name) / 2).alias(f"half_{name}") for name in flower.inputs))
    scored = score(halved, flower.folder, keep=["id"], preprocess="tests.spark.made_steps:double")
    assert labels(scored) == flower.expected


def test_a_preprocess_function_that_the_workers_lack_is_a_clear_error(
    flowers: DataFrame, flower: FlowerModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "driver_only.py").write_text("def same(batch):\n    return batch\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    error = failure(score(flowers, flower.folder, preprocess="driver_only:same"))
    assert isinstance(error, StepFailedError)
    assert "'driver_only:same' cannot be imported here" in error.what
    assert "--py-files" in error.next_step


@pytest.mark.matrix
def test_a_null_in_an_integer_input_says_what_to_do(spark: SparkSession, tmp_path: Path) -> None:
    import numpy as np
    import pandas as pd
    from mlflow.models import infer_signature
    from sklearn.linear_model import LinearRegression

    rows = pd.DataFrame({"n": np.arange(4)})
    model = LinearRegression().fit(rows, rows.n)
    mlflow.sklearn.save_model(
        model, tmp_path / "m", signature=infer_signature(rows, model.predict(rows)), pip_requirements=["scikit-learn"]
    )
    error = failure(score(spark.createDataFrame([(1,), (None,)], "n int"), str(tmp_path / "m")))
    assert "integer input has no missing value" in error.what
    assert "IS NOT NULL" in error.next_step


def test_a_model_that_sorts_its_rows_is_an_error_unless_it_is_trusted(spark: SparkSession, tmp_path: Path) -> None:
    days = spark.createDataFrame([(day.to_pydatetime(),) for day in DAYS[::-1]], "ds timestamp").coalesce(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = save_forecast(tmp_path / "forecast", Forecast())
    error = failure(score(days, model, keep=[]))
    assert "the values of ds, yhat belong to other rows of a batch of 6 rows" in error.what
    trusted = days.select(model_udf(spark, model, row_order="trust")().alias("p")).select("p.yhat").collect()
    assert [row.yhat for row in trusted] == [day * 1.5 for day in range(6)]
