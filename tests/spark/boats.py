"""A Spark ML pipeline, saved by MLflow, and rows for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
from mlflow.models import ModelSignature, infer_signature
from mlflow.types import ColSpec, Schema
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.classification import NaiveBayes
from pyspark.ml.feature import SQLTransformer, StringIndexer, VectorAssembler
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from tests.spark.made import BIG

COLUMNS = "id long, sex string, age long, fare double, prediction string"


@dataclass(frozen=True)
class Boats:
    """Models in folders, and a table with nulls, a long for a double, and a column of a name that the models make.

    Attributes:
        pipeline: On text and numbers.
        bayes: Its last stage alone, on a vector.
        model: The pipeline itself.
        rows: The table, 60 rows.
    """

    pipeline: str
    bayes: str
    model: PipelineModel
    rows: DataFrame


def make_boats(spark: SparkSession, folder: Path) -> Boats:
    """Train the pipeline and save it, and its last stage, in ``folder``."""
    rows = [(BIG + i, "mf"[i % 2], 20 + i % 40, float(i % 7) if i % 5 else None, "old") for i in range(60)]
    table = spark.createDataFrame(rows, COLUMNS).coalesce(1)
    stages: list[Any] = [
        SQLTransformer(statement="SELECT *, coalesce(fare, -1) AS known FROM __THIS__"),
        StringIndexer(inputCol="sex", outputCol="sex_index"),
        VectorAssembler(inputCols=["sex_index", "age", "known"], outputCol="features"),
        NaiveBayes(modelType="gaussian"),
    ]
    inputs = table.select("sex", F.col("age").cast("double"), "fare")
    model = Pipeline(stages=stages).fit(inputs.withColumn("label", (F.col("age") > 40).cast("double")))
    made = model.transform(inputs)
    _save(model, folder / "pipeline", infer_signature(inputs, made.select("prediction")))
    outputs = Schema([ColSpec("double")])
    _save(model.stages[-1], folder / "bayes", ModelSignature(infer_signature(made.select("features")).inputs, outputs))
    return Boats(str(folder / "pipeline"), str(folder / "bayes"), model, table)


def _save(model: Any, folder: Path, signature: ModelSignature) -> None:
    mlflow.spark.save_model(model, folder, signature=signature, pip_requirements=["pyspark"])
