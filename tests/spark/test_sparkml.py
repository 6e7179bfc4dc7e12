from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pyarrow as pa
import pytest
from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.ml import PipelineModel
from pyspark.ml.feature import SQLTransformer, VectorAssembler
from pyspark.ml.functions import vector_to_array
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_infer import ScoringJob, SparkInferError, model_udf, score
from spark_infer.config import JobConfig, ResourceOptions, ScoreOptions
from spark_infer.core.binding import Binding, BoundColumn
from spark_infer.errors import (
    InputValueError,
    ModelRefusedError,
    PlanError,
    PredictionShapeError,
    ResourcesError,
    SchemaMismatchError,
)
from spark_infer.models.backends.spec import LoadSpec
from spark_infer.models.driver import open_store
from spark_infer.models.files.distribution import ModelFiles
from spark_infer.models.mlmodel import MLModel
from spark_infer.spark.cast import input_column, output_column
from spark_infer.spark.exceptions import translate
from spark_infer.spark.prepare import pin, prepare
from spark_infer.spark.resources.stage import plan_stage
from spark_infer.spark.schema import to_arrow
from spark_infer.spark.sparkml import SparkMLModel, load_pipeline, refuse_other_rows
from spark_infer.spark.transform import transformed_frame
from tests.spark.boats import Boats
from tests.spark.made import BIG

AGE_AND_FARE = {"age": pa.int64(), "fare": pa.float64()}

pytestmark = pytest.mark.filterwarnings("ignore")


def plain(boats: Boats) -> dict[int, tuple[float, list[float]]]:
    """Prediction and probabilities of each row by Spark ML alone."""
    made = boats.model.transform(boats.rows.drop("prediction"))
    rows = made.select("id", "prediction", vector_to_array(F.col("probability")).alias("p")).collect()
    return {row.id: (row.prediction, row.p) for row in rows}


def test_the_transform_adds_the_signature_s_outputs_and_keeps_the_rest_bit_for_bit(boats: Boats) -> None:
    scored = score(boats.rows, boats.pipeline, output="label", allow_casts=["long->double"])
    assert scored.schema.simpleString() == (
        "struct<id:bigint,sex:string,age:bigint,fare:double,prediction:string,label:double>"
    )
    assert "ArrowEvalPython" not in plan_of(scored)
    assert "MapInArrow" not in plan_of(scored)
    expected = plain(boats)
    found = scored.collect()
    assert {row.id: row.label for row in found} == {id: label for id, (label, _) in expected.items()}
    assert len({label for label, _ in expected.values()}) == 2
    assert sorted(row[:5] for row in found) == sorted(tuple(row) for row in boats.rows.collect())


def plan_of(frame: DataFrame) -> str:
    plan: str = frame._jdf.queryExecution().toString()
    return plan


def test_it_answers_as_its_pyfunc_does(spark: SparkSession, boats: Boats) -> None:
    rows = boats.rows.select("sex", F.col("age").cast("double"), F.col("fare"), "id").filter("fare IS NOT NULL")
    answers = mlflow.pyfunc.load_model(boats.pipeline).predict(rows.drop("id").toPandas())
    scored = score(rows, boats.pipeline)
    assert scored.schema["prediction"].dataType.simpleString() == "double"
    assert [row.prediction for row in scored.collect()] == answers


def test_methods_steps_and_types_chain_around_the_transform(boats: Boats) -> None:
    halves = [(F.col(name) / 2).alias(f"half_{name}") for name in ("age", "fare")]
    halved = boats.rows.select("id", "sex", *halves)
    scored = score(
        halved,
        boats.pipeline,
        keep=["id", "half_fare"],
        preprocess="tests.spark.made_steps:double_boats",
        predict_method=["predict", "predict_proba", "decision_function"],
        result_type="prediction int, probability array<double>",
        postprocess=[{"top_k": {"columns": ["probability"], "k": 1, "labels": ["young", "old"], "output": "best"}}],
        output={"prediction": "class", "best": "best"},
    )
    assert scored.schema.simpleString() == (
        "struct<id:bigint,half_fare:double,class:int,best:array<struct<label:string,score:double>>>"
    )
    expected = plain(boats)
    assert len(expected) == 60
    for row in scored.collect():
        label, probabilities = expected[row.id]
        assert row["class"] == label
        assert row.best == [(["young", "old"][int(label)], max(probabilities))]


def test_a_vector_column_and_an_array_of_doubles_are_the_same_to_it(boats: Boats) -> None:
    made = boats.model.transform(boats.rows.drop("prediction")).select("id", "features", "prediction")
    by_vector = score(made, boats.bayes, output="by_vector")
    arrays = by_vector.withColumn("features", vector_to_array(F.col("features")))
    rows = score(arrays, boats.bayes, output="by_array").collect()
    assert len(rows) == 60
    assert all(row.by_vector == row.by_array == row.prediction for row in rows)


def test_doubles_for_a_pipeline_of_floats_are_rounded_and_never_made_infinite(spark: SparkSession) -> None:
    rows = spark.sql("SELECT array(0.1D, double('inf'), double('-inf'), double('nan'), null) AS v").coalesce(1)

    def cast(frame: DataFrame) -> DataFrame:
        got = frame.schema["v"].dataType
        return frame.select(input_column(frame["v"], "v", got, pa.list_(pa.float32()), is_vector=False).alias("v"))

    (row,) = cast(rows).collect()
    assert repr(row.v) == "[0.10000000149011612, inf, -inf, nan, None]"
    assert isinstance(failure(cast(rows.withColumn("v", F.array(F.lit(-1e39))))), InputValueError)


def test_a_value_that_its_types_cannot_hold_is_an_error(boats: Boats) -> None:
    big = boats.rows.withColumn("age", F.lit(BIG)).drop("prediction")
    assert isinstance(failure(score(big, boats.pipeline, allow_casts=["long->double"])), InputValueError)
    scored = score(big.withColumn("age", F.lit(30.0)), boats.pipeline, keep=[], predict_method="predict_proba")
    made = boats.model.transform(boats.rows.drop("prediction"))
    broken = output_column(made["fare"] / 2, "half", made.schema["fare"].dataType, pa.int32())
    assert broken is not None
    assert isinstance(failure(made.select(broken.alias("half"))), PredictionShapeError)
    assert scored.schema.simpleString() == "struct<probability:array<double>>"


REFUSED: dict[str, tuple[Callable[[DataFrame], DataFrame], dict[str, Any], type[PlanError], str]] = {
    "missing": (lambda df: df.drop("sex"), {}, SchemaMismatchError, "column 'sex' (string) is missing"),
    "lossy cast": (lambda df: df, {}, SchemaMismatchError, "possible when asked for: allow_casts='long->double'"),
    "clash": (
        lambda df: df,
        {"allow_casts": ["long->double"]},
        SchemaMismatchError,
        "'prediction' has the name",
    ),
    "pyfunc": (lambda df: df, {"backend": "pyfunc"}, ModelRefusedError, "a Spark of its own in every Python worker"),
    "method": (
        lambda df: df.withColumn("age", F.lit(1.0)),
        {"predict_method": "predict_log_proba"},
        ModelRefusedError,
        "no method 'predict_log_proba'",
    ),
    "type": (
        lambda df: df.withColumn("age", F.lit(1.0)),
        {"result_type": "string", "output": "label"},
        PlanError,
        "returns 'prediction' as double, not as string",
    ),
    "resources": (
        lambda df: df.withColumn("age", F.lit(1.0)),
        {"resources": {"cpus": 1}, "output": "label"},
        ResourcesError,
        "in no stage of its own",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused(name: str, boats: Boats) -> None:
    change, options, error, message = REFUSED[name]
    with pytest.raises(error) as refusal:
        score(change(boats.rows), boats.pipeline, **options)
    assert message in str(refusal.value)


def test_a_udf_is_refused_and_score_is_named(spark: SparkSession, boats: Boats) -> None:
    with pytest.raises(ModelRefusedError, match=r"use spark_infer\.score\(df"):
        model_udf(spark, boats.pipeline)


def test_a_cluster_without_a_shared_folder_is_refused_before_any_task(spark: SparkSession, boats: Boats) -> None:
    store = open_store()
    ref = pin(boats.pipeline, ScoreOptions(), store, tracking_uri=None, registry_uri=None)
    files = ModelFiles(digest=ref.digest, way="spark_files", place="model.tar")
    with pytest.raises(ModelRefusedError, match="a folder that every node mounts"):
        load_pipeline(spark, ref.mlmodel, store, files)


@pytest.mark.parametrize(
    "stage",
    [
        lambda: VectorAssembler(inputCols=["age"], outputCol="f", handleInvalid="skip"),
        lambda: PipelineModel([VectorAssembler(inputCols=["age"], outputCol="f", handleInvalid="skip")]),
        lambda: SQLTransformer(statement="SELECT * FROM __THIS__ WHERE age > 30"),
        lambda: SQLTransformer(statement="SELECT DISTINCT * FROM __THIS__"),
        lambda: SQLTransformer(statement="SELECT *, explode(array(1, 2)) AS twice FROM __THIS__"),
    ],
)
def test_a_stage_that_drops_or_makes_rows_is_refused(spark: SparkSession, stage: Callable[[], Any]) -> None:
    with pytest.raises(ModelRefusedError, match="may not return one prediction for each row"):
        refuse_other_rows(PipelineModel([stage()]))
    refuse_other_rows(PipelineModel([SQLTransformer(statement=" select *, age + 1 AS next\nFROM __THIS__ ; ")]))


def test_a_last_stage_without_predictions_gives_its_own_output(spark: SparkSession, boats: Boats) -> None:
    columns = tuple(BoundColumn(source=name, target=name, type=kind) for name, kind in AGE_AND_FARE.items())
    spec = LoadSpec(
        backend="spark",
        mlmodel=MLModel(flavors={}),
        methods=("predict",),
        by_signature=False,
        binding=Binding(columns=columns),
        params={},
        threads=1,
    )
    pipeline = PipelineModel([VectorAssembler(inputCols=["age", "fare"], outputCol="both")])
    model = SparkMLModel(pipeline, spec, boats.rows, spark)
    assert model.outputs() == pa.schema([("prediction", pa.list_(pa.float64()))])
    made = PipelineModel([SQLTransformer(statement="SELECT age AS prediction FROM __THIS__")])
    assert SparkMLModel(made, spec, boats.rows, spark).outputs() == pa.schema([("prediction", pa.int64())])
    wrong = PipelineModel([VectorAssembler(inputCols=["speed"], outputCol="both")])
    with pytest.raises(PlanError, match="does not take the columns it is given"):
        SparkMLModel(wrong, spec, boats.rows, spark).outputs()


def test_a_pipeline_that_drops_kept_columns_is_refused(spark: SparkSession, boats: Boats) -> None:
    rows, store = boats.rows.drop("prediction"), open_store()
    ref = pin(boats.pipeline, ScoreOptions(), store, tracking_uri=None, registry_uri=None)
    options = ScoreOptions(allow_casts=("long->double",))
    stage = plan_stage(spark, ResourceOptions())
    recipe = prepare(spark, ref, to_arrow(rows.schema), options, store=store, stage=stage, rows=lambda: rows).recipe
    pipeline = PipelineModel([SQLTransformer(statement="SELECT age AS prediction FROM __THIS__")])
    with pytest.raises(ModelRefusedError, match="drops the columns \\['id', 'sex', 'age', 'fare'\\]"):
        transformed_frame(rows, recipe, SparkMLModel(pipeline, recipe.load, rows, spark))


@pytest.mark.matrix
def test_a_table_job_plans_and_reports_it(spark: SparkSession, boats: Boats, tmp_path: Path) -> None:
    source, target = str(tmp_path / "in"), str(tmp_path / "out")
    boats.rows.drop("prediction").write.parquet(source)
    job = ScoringJob(
        JobConfig.model_validate(
            {
                "name": "boats",
                "model": {"uri": boats.pipeline},
                "source": {"path": source},
                "target": {"path": target, "format": "parquet", "keep": ["id"]},
                "score": {"allow_casts": ["long->double"]},
            }
        )
    )
    plan = str(job.plan(spark))
    assert "spark (Spark ML is Spark's own); Spark runs the pipeline itself; a null reaches it as a null" in plan
    assert "spark: Spark reads the rows and runs the model" in plan
    report = job.run(spark)
    assert (report.backend, report.rows_read, report.rows_scored, report.loads) == ("spark", 60, 60, 0)
    assert report.warnings == ()
    written = {row.id: row.prediction for row in spark.read.parquet(target).collect()}
    assert written == {id: label for id, (label, _) in plain(boats).items()}


def failure(scored: DataFrame) -> SparkInferError:
    # PySpark 3.5 leaves what is not an error of Python's to Py4J.
    with pytest.raises((PySparkException, Py4JJavaError)) as raised:
        scored.collect()
    translated = translate(raised.value)
    assert translated is not None, raised.value
    return translated
