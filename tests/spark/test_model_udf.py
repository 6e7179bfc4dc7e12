from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from mlflow.models import ModelSignature, infer_signature
from mlflow.pyfunc.model import ChatModel, PythonModel
from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema
from mlflow.types.llm import ChatChoice, ChatCompletionResponse, ChatMessage
from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import Column, DataFrame, Row, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import DoubleType, StructField, StructType

from spark_infer import model_udf
from spark_infer.errors import ConfigError, PlanError, SchemaMismatchError
from spark_infer.spark.exceptions import translate
from spark_infer.spark.udf import ModelUdf
from tests.spark.made import CountingModel, FlowerModel
from tests.spark.since import arrow_udfs

NAMING = Path(__file__).parent / "models" / "naming.py"


@pytest.fixture
def flowers(spark: SparkSession, flower: FlowerModel) -> DataFrame:
    # One partition: each call of a UDF in a query has a Python worker of its own in each task.
    return spark.createDataFrame(flower.rows).coalesce(1)


@pytest.fixture
def predict(spark: SparkSession, flower: FlowerModel) -> ModelUdf:
    return model_udf(spark, flower.folder, batch_size=123)


CALLS: dict[str, Callable[[ModelUdf], Column]] = {
    "no arguments": lambda predict: predict(),
    "names": lambda predict: predict("weight", "width", "height"),
    "columns": lambda predict: predict(F.col("height"), F.col("weight"), F.col("width")),
    "more than needed": lambda predict: predict("id", "weight", "width", "height"),
    "one struct": lambda predict: predict(F.struct("*")),
    "keywords": lambda predict: predict(weight="weight", height=F.col("height"), width=F.col("width") * 1),
    "a struct by its name": lambda predict: predict("row"),
    "a field by its path": lambda predict: predict("deep.row"),
    "a struct column": lambda predict: predict(F.col("deep")["row"]),
    "named expressions": lambda predict: predict((F.col("weight") * 1).alias("weight"), F.col("width"), "height"),
    # By position, since nothing says which is which.
    "a cast": lambda predict: predict(F.col("width").cast("double"), F.col("height"), F.col("weight")),
    "expressions": lambda predict: predict(F.coalesce("width", F.lit(0.0)), "height", F.col("weight") * 1),
    "other names": lambda predict: predict("x", "y", "z"),
}


@pytest.mark.matrix
def test_every_way_to_call_gives_the_model_its_columns(
    predict: ModelUdf, flowers: DataFrame, flower: FlowerModel
) -> None:
    names = {"x": F.col("width"), "y": F.col("height"), "z": F.col("weight"), "row": F.struct("*")}
    table = flowers.withColumns(names).withColumn("deep", F.struct("row"))
    # A job for each: every UDF of one job would have a Python worker of its own.
    for name, call in CALLS.items():
        rows = table.select("id", call(predict).alias("label")).collect()
        assert {row.id: row.label for row in rows} == flower.expected, name


def test_names_in_another_order_are_not_bound_by_position(predict: ModelUdf, flowers: DataFrame) -> None:
    with pytest.raises(PySparkException) as raised:
        flowers.select(predict(F.col("weight"), F.col("height"), F.col("width") * 1)).collect()
    translated = translate(raised.value)
    assert isinstance(translated, SchemaMismatchError)
    assert "column 'weight' stands at the place of 'width'" in translated.problems


UNNAMED: dict[str, tuple[Callable[[ModelUdf], Column], str]] = {
    "names": (lambda predict: predict("b", "a"), "NUMBERED"),
    "columns": (lambda predict: predict(F.col("b"), F.col("a") * 1), "NUMBERED"),
    "a struct": (lambda predict: predict(F.struct("b", "a")), "'b'='u', 'a'=1.5"),
    "a struct by its name": (lambda predict: predict("s"), "'b'='u', 'a'=1.5"),
    "a field by its path": (lambda predict: predict("r.s"), "'b'='u', 'a'=1.5"),
    "in sql": (lambda _: F.expr("unnamed(b, a)"), "NUMBERED"),
    "a struct in sql": (lambda _: F.expr("unnamed(struct(b, a AS x))"), "'b'='u', 'x'=1.5"),
}
AS_IN_MLFLOW = "names", "a struct", "a struct by its name"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("signature", "numbered"),
    [
        (None, "'0'='u', '1'=1.5"),
        (ModelSignature(Schema([ColSpec("string"), ColSpec("double")]), Schema([ColSpec("string")])), "0='u', 1=1.5"),
    ],
    ids=["no signature", "no names"],
)
def test_a_model_that_names_no_columns_gets_those_of_the_call_as_in_spark_udf(
    signature: ModelSignature | None, numbered: str, spark: SparkSession, tmp_path: Path
) -> None:
    table = spark.createDataFrame([(1.5, "u")], "a double, b string").coalesce(1)
    table = table.withColumn("s", F.struct("b", "a")).withColumn("r", F.struct("s"))
    folder = tmp_path / "m"
    mlflow.pyfunc.save_model(folder, python_model=str(NAMING), signature=signature, pip_requirements=["pandas"])
    theirs = mlflow.pyfunc.spark_udf(spark, folder, result_type="string", env_manager="local")
    ours = model_udf(spark, folder, "string")
    spark.udf.register("unnamed", ours)
    for name, (call, expected) in UNNAMED.items():
        for udf in (ours, theirs) if name in AS_IN_MLFLOW else (ours,):
            assert table.select(call(udf)).collect()[0][0] == expected.replace("NUMBERED", numbered), name


@pytest.mark.filterwarnings("ignore")
def test_what_spark_udf_takes_for_arguments_is_taken(spark: SparkSession, tmp_path: Path) -> None:
    params = {"n": np.int64(3), "f": np.float32(2.5), "flag": np.bool_(False), "names": np.array(["p", "q"])}
    signature = ModelSignature(Schema([ColSpec("double")]), params=infer_signature([1.0], params=params).params)
    mlflow.pyfunc.save_model(tmp_path / "m", python_model=str(NAMING), signature=signature, pip_requirements=["pandas"])
    given = {**params, "n": np.int32(4), "names": ("r",)}
    told = model_udf(spark, tmp_path / "m", "string", params=given)
    truth = model_udf(spark, tmp_path / "m", "bool", params=given)
    truths = model_udf(spark, tmp_path / "m", "bool array<bool>, b bool", params=given)
    number = model_udf(spark, tmp_path / "m")
    frame = spark.createDataFrame([(1.5,)], "a double")
    seen = frame.select(told("a").alias("told")).first()
    assert seen is not None
    assert seen.told == "0=1.5, 'n'=4, 'f'=2.5, 'flag'=False, 'names'=['r']"
    assert truth.returnType.simpleString() == "boolean"
    assert truths.returnType.simpleString() == "struct<bool:array<boolean>,b:boolean>"
    # Nothing says what it returns: a double, as in spark_udf, and the error says how to have something else.
    assert number.returnType.simpleString() == "double"
    with pytest.raises(PySparkException, match=r"not double\.[\s\S]*result_type"):
        frame.select(number("a")).collect()


@pytest.mark.matrix
def test_it_works_in_sql(spark: SparkSession, predict: ModelUdf, flowers: DataFrame, flower: FlowerModel) -> None:
    spark.udf.register("predict", predict)
    flowers.createOrReplaceTempView("flowers")
    rows = spark.sql(
        "SELECT id, predict(struct(*)) AS by_name, predict(struct(weight, width * 1 AS width, height)) AS swapped, "
        "predict(width, height, weight) AS by_position, predict(weight, height, width) AS wrong_position, "
        "predict(struct(weight AS width, height, width AS weight)) AS as_wrong FROM flowers"
    ).collect()
    for style in ("by_name", "swapped", "by_position"):
        assert {row.id: row[style] for row in rows} == flower.expected
    # Spark does not pass the names of loose columns: they are taken in the signature's order.
    assert [row.wrong_position for row in rows] == [row.as_wrong for row in rows]
    assert any(row.wrong_position != row.by_name for row in rows)


def test_a_worker_logs_once_that_it_bound_loose_columns_by_position(
    predict: ModelUdf, caplog: pytest.LogCaptureFixture
) -> None:
    in_worker = predict.func  # type: ignore[attr-defined]
    loose = (pa.array([1.0, 2.0]), pa.array([1.0, 2.0]), pa.array([1.0, 2.0]))
    struct = pa.StructArray.from_arrays(loose, names=["weight", "height", "width"])
    list(in_worker(iter([struct])))
    assert not caplog.records
    for _ in range(2):
        list(in_worker(iter([loose, loose])))
    assert [record.getMessage().partition(": ")[2] for record in caplog.records] == [
        "the names of the columns do not say which is which, so they were bound by position, as width, height, weight. "
        "predict(struct(*)) binds by name."
    ]


def test_it_knows_its_model_and_type(predict: ModelUdf) -> None:
    assert predict.model.name == "flower"
    assert predict.returnType.simpleString() == "string"


@pytest.mark.matrix
def test_several_outputs_come_back_as_a_struct(spark: SparkSession, flowers: DataFrame, flower: FlowerModel) -> None:
    predict = model_udf(spark, flower.folder, predict_method=["predict", "predict_proba"])
    row = flowers.select("id", predict().alias("p")).select("id", "p.*").first()
    assert row is not None
    assert row.prediction == flower.expected[row.id]
    assert row.probability_small + row.probability_tall == pytest.approx(1)


class Ranked(PythonModel):
    """Returns a frame of one column, or of two."""

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:
        return pd.DataFrame({name: model_input["x"] * number for number, name in enumerate(params["names"], 1)})


class Repeating(ChatModel):
    """Repeats the last message."""

    def predict(self, context: Any, messages: Any, params: Any) -> Any:  # type: ignore[override]  # as MLflow's own
        said = ChatMessage(role="assistant", content=f"{len(messages)} {messages[-1].content} {params.temperature}")
        return ChatCompletionResponse(choices=[ChatChoice(message=said)])


@arrow_udfs
def test_a_chat_model_is_asked_once_for_each_row(spark: SparkSession, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.pyfunc.save_model(tmp_path / "m", python_model=Repeating(), pip_requirements=["mlflow"])
    chat = model_udf(spark, str(tmp_path / "m"), "choices array<struct<message:struct<content:string>>>")
    rows = [{"messages": [{"role": "user", "content": word}], "temperature": 0.5} for word in ("hello", "bye")]
    answers = pa.concat_arrays(chat.func(iter([pa.array(rows)])))  # type: ignore[attr-defined]  # as a worker calls it
    assert [row["choices"][0]["message"]["content"] for row in answers.to_pylist()] == ["1 hello 0.5", "1 bye 0.5"]


def test_a_result_type_converts_and_a_struct_that_it_declares_stays_one(spark: SparkSession, tmp_path: Path) -> None:
    inputs, names = Schema([ColSpec("double", "x")]), ParamSchema([ParamSpec("names", "string", ["score"], (-1,))])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.pyfunc.save_model(
            tmp_path / "m", python_model=Ranked(), signature=ModelSignature(inputs, None, names), pip_requirements=[]
        )
    types: dict[str, tuple[str, list[str], Any]] = {
        "float": ("float", ["score"], 2.0),
        "struct<rank:double>": ("rank double", ["score", "rank"], Row(rank=4.0)),
        "array<double>": ("array<double>", ["score", "rank"], [2.0, 4.0]),
    }
    predictions = [
        model_udf(spark, str(tmp_path / "m"), declared, params={"names": names})("x").alias(str(index))
        for index, (declared, names, _) in enumerate(types.values())
    ]
    frame = spark.sql("SELECT 2D AS x").select(*predictions)
    assert [field.dataType.simpleString() for field in frame.schema] == list(types)
    assert list(frame.collect()[0]) == [expected for *_, expected in types.values()]
    rank = StructType([StructField("rank", DoubleType())])
    assert model_udf(spark, str(tmp_path / "m"), rank).returnType == rank


def test_a_filter_on_the_prediction_predicts_each_row_once(spark: SparkSession, counting: CountingModel) -> None:
    predict = model_udf(spark, counting.folder)
    counting.forget()
    frame = spark.range(1_000).select("id", F.col("id").cast("double").alias("x")).withColumn("p", predict("x"))
    assert frame.filter("p >= 1000").count() == 500
    assert counting.rows() == 1_000


def test_a_deterministic_one_stands_in_aggregates_and_joins(spark: SparkSession, line: str) -> None:
    spark.range(4).selectExpr("CAST(id AS double) AS x", "id % 2 AS odd").createOrReplaceTempView("numbers")
    numbers = spark.table("numbers")
    predict = model_udf(spark, line, deterministic=True)
    spark.udf.register("predict", predict)
    mean = "SELECT odd, avg(predict(struct(x))) AS mean FROM numbers GROUP BY odd ORDER BY odd"
    assert [row.mean for row in spark.sql(mean).collect()] == pytest.approx([2.0, 4.0])
    assert numbers.agg(F.max(predict("x"))).collect()[0][0] == pytest.approx(6.0)
    doubles = numbers.select(F.col("x").alias("half"))
    joined = numbers.join(doubles, F.round(predict(numbers.x)) == doubles.half * 2)
    assert sorted((row.x, row.half) for row in joined.collect()) == [(x, x) for x in (0.0, 1.0, 2.0, 3.0)]
    # Spark would run the model twice for a row, so the usual one is not for these places; it says what to do first.
    usual = model_udf(spark, line)
    scored = numbers.withColumn("p", usual("x"))
    assert scored.agg(F.max("p")).collect()[0][0] == pytest.approx(6.0)
    with pytest.raises(PySparkException, match="NONDETERMINISTIC"):
        numbers.agg(F.max(usual("x")))
    with pytest.raises(PySparkException, match="NON_DETERMINISTIC"):
        numbers.join(doubles, usual(numbers.x) == doubles.half).collect()


def test_calling_model_udf_again_loads_nothing_again(spark: SparkSession, counting: CountingModel) -> None:
    for _ in range(3):
        predict = model_udf(spark, counting.folder)
        frame = spark.range(100, numPartitions=10).select(predict(F.col("id").cast("double").alias("x")))
        frame.write.format("noop").mode("overwrite").save()
    assert sorted(counting.loads()) == sorted({pid for pid, _ in counting.predicts()})


def test_a_missing_column_is_named_by_the_first_task_where_spark_alone_knows_the_names(
    predict: ModelUdf, flowers: DataFrame
) -> None:
    with pytest.raises(PySparkException) as raised:
        flowers.select(predict(F.col("width"), F.col("height"))).collect()
    translated = translate(raised.value)
    assert isinstance(translated, SchemaMismatchError)
    assert translated.problems[0].startswith("column 'weight' is missing")


def test_positions_in_sql_must_be_as_many_as_the_model_has(
    spark: SparkSession, predict: ModelUdf, flowers: DataFrame
) -> None:
    spark.udf.register("predict", predict)
    flowers.createOrReplaceTempView("flowers")
    with pytest.raises(PySparkException, match="takes 3 columns, the call has 2"):
        spark.sql("SELECT predict(width, height) FROM flowers").collect()
    # Spark 3.5 notices it in the task.
    with pytest.raises((PySparkException, Py4JJavaError), match=r"NAMED_PARAMETERS_NOT_SUPPORTED|Cannot evaluate"):
        spark.sql("SELECT predict(weight => width, width => weight, height => height) FROM flowers").collect()


def test_a_wrong_call_is_refused_at_once(predict: ModelUdf) -> None:
    with pytest.raises(SchemaMismatchError, match="takes no column") as refused:
        predict(wide="width")
    assert refused.value.problems == ("column 'wide' is unknown (did you mean 'width'?)",)
    with pytest.raises(ConfigError, match="not both"):
        predict("width", height="height")
    with pytest.raises(SchemaMismatchError, match="column 'weight' is missing"):
        predict("width", "height")
    with pytest.raises(SchemaMismatchError, match="column 'weight' stands at the place of 'width'"):
        predict("weight", "height", "other")
    with pytest.raises(SchemaMismatchError, match="column 'weight' is missing"):
        predict(width="width", height="height")


def test_a_result_type_that_the_model_lacks_is_refused(spark: SparkSession, flower: FlowerModel) -> None:
    with pytest.raises(PlanError, match="'size'"):
        model_udf(spark, flower.folder, "size double, width double", predict_method=["predict", "predict_proba"])
