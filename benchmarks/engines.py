"""The engines on Spark: one function each, from Parquet files to Parquet files.

To add one, write a function of the same shape and put it into `ENGINES`. Everything in it is timed, so
what a user does once and keeps (a session, a pool of processes) belongs in a host (`hosts/`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
from pyspark.ml.functions import predict_batch_udf
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - as all Spark code has it
from pyspark.sql.types import StructType

import spark_infer
from benchmarks.encoded import DECODE, decoded
from benchmarks.worker import Values, predict, score_batches, score_frames, to_names
from benchmarks.workload import Workload

Engine = Callable[[SparkSession, Workload, Path], None]


def score_door(spark: SparkSession, workload: Workload, target: Path) -> None:
    """spark_infer.score: a DataFrame, written by Spark."""
    scored = spark_infer.score(
        spark.read.parquet(workload.source),
        workload.model_uri,
        keep=list(workload.keep),
        tracking_uri=workload.tracking_uri,
        output=_named(workload),
        **_options(workload),
    )
    scored.write.parquet(str(target))


def table_job(spark: SparkSession, workload: Workload, target: Path, *, plane: str = "auto", **options: Any) -> None:
    """spark_infer.score_table, as it comes or with options of a job file."""
    spark_infer.score_table(
        spark,
        source={"path": workload.source},
        target={
            "path": str(target),
            "keep": list(workload.keep),
            "output": _named(workload),
            "model_name_column": None,
            "model_version_column": None,
            "scored_at_column": None,
        },
        model={"uri": workload.model_uri, "tracking_uri": workload.tracking_uri},
        plane=plane,
        **_options(workload),
        **options,
    )


def _named(workload: Workload) -> str | dict[str, str]:
    if not workload.labels:
        return workload.outputs[0][0]
    # MLflow gives the model's only output no name; spark_infer calls it prediction.
    (label, _), (scores, _) = workload.outputs
    return {label: label, "prediction": scores}


def _options(workload: Workload) -> dict[str, Any]:
    if workload.feeds in DECODE:
        return {"inputs": list(workload.features), "decode": DECODE[workload.feeds]}
    if workload.feeds == "tensor":
        return {"inputs": list(workload.features)}
    if not workload.labels:
        return {}
    step = {"columns": ["prediction"], "labels": list(workload.labels), "output": workload.outputs[0][0]}
    return {"postprocess": [{"argmax_label": step}]}


def spark_udf(spark: SparkSession, workload: Workload, target: Path) -> None:
    """mlflow.pyfunc.spark_udf in the workers' own Python environment."""
    mlflow.set_tracking_uri(workload.tracking_uri)
    call = mlflow.pyfunc.spark_udf(spark, workload.udf_uri, result_type=workload.raw_type, env_manager="local")
    scores = workload.outputs[-1][0]
    scored = spark.read.parquet(workload.source).select(*workload.keep, call(*workload.features).alias(scores))
    if workload.labels:
        names = F.array(*map(F.lit, workload.labels))
        best = F.array_position(scores, F.array_max(scores)).cast("int")
        scored = scored.withColumn(workload.outputs[0][0], F.element_at(names, best))
    scored.write.parquet(str(target))


def batch_udf(spark: SparkSession, workload: Workload, target: Path) -> None:
    """pyspark.ml.functions.predict_batch_udf around the same hand-written predict."""
    types: Any = StructType.fromDDL(", ".join(f"`{name}` {kind}" for name, kind in workload.outputs))
    call: Any = predict_batch_udf(
        partial(_make_predict, workload),
        return_type=types if len(types) > 1 else types[0].dataType,
        batch_size=workload.batch_rows,
        input_tensor_shapes=[[_width(workload)]] if workload.feeds == "tensor" else None,
    )
    answer: Column = call(*workload.features)
    source = spark.read.parquet(workload.source)
    if len(workload.outputs) > 1:
        scored = source.select(*workload.keep, answer.alias("answer")).select(*workload.keep, "answer.*")
    else:
        scored = source.select(*workload.keep, answer.alias(workload.outputs[0][0]))
    scored.write.parquet(str(target))


def _width(workload: Workload) -> int:
    import pyarrow.parquet as pq

    with pq.ParquetFile(workload.paths()[0]) as file:
        return len(next(file.iter_batches(1, columns=list(workload.features))).column(0)[0])


def _make_predict(workload: Workload) -> Callable[..., Any]:
    """Make the function that Spark calls with numpy arrays, in the worker."""
    import pandas as pd

    def answered(values: Any) -> Any:
        answers = predict(values, workload)
        if len(answers) == 1:
            return next(iter(answers.values()))
        label = workload.outputs[0][0]
        return answers | {label: to_names(answers[label], labels=workload.labels)}

    def of_columns(*columns: Values) -> Any:
        if workload.feeds in DECODE:
            return answered(decoded(columns[0], workload.feeds))
        if workload.feeds == "tensor":
            return answered(columns[0])
        if workload.feeds == "frame":
            return answered(pd.DataFrame(dict(zip(workload.features, columns, strict=True))))
        matrix = np.empty((len(columns[0]), len(columns)), workload.dtype, order="F")
        for i, column in enumerate(columns):
            matrix[:, i] = column
        return answered(matrix)

    # Spark counts the parameters, and hands over one column for each.
    kind = inspect.Parameter.POSITIONAL_ONLY
    parameters = [inspect.Parameter(name, kind) for name in workload.features]
    of_columns.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # read by inspect
    return of_columns


def map_in_arrow(spark: SparkSession, workload: Workload, target: Path) -> None:
    """DataFrame.mapInArrow, written by hand: only the needed columns, the model loaded once per worker."""
    source, schema = _needed(spark, workload)
    source.mapInArrow(partial(score_batches, workload=workload), schema).write.parquet(str(target))


def map_in_pandas(spark: SparkSession, workload: Workload, target: Path) -> None:
    """DataFrame.mapInPandas, written by hand in the same way."""
    source, schema = _needed(spark, workload)
    source.mapInPandas(partial(score_frames, workload=workload), schema).write.parquet(str(target))


def _needed(spark: SparkSession, workload: Workload) -> tuple[DataFrame, str]:
    """The columns that are needed, and the schema of what is written."""
    source = spark.read.parquet(workload.source).select(*workload.columns)
    kinds = dict(source.dtypes)
    columns = [*((name, kinds[name]) for name in workload.keep), *workload.outputs]
    return source, ", ".join(f"`{name}` {kind}" for name, kind in columns)


OURS = "spark_infer"

ENGINES: dict[str, Engine] = {
    OURS: table_job,
    "spark_infer, engine local": partial(table_job, engine="local"),
    "spark_infer, compiled": partial(table_job, compile="onnx"),
    "spark_infer, by LLVM": partial(table_job, compile="llvm"),
    "spark_infer, spark plane": partial(table_job, plane="spark"),
    "spark_infer.score": score_door,
    "mlflow spark_udf": spark_udf,
    "predict_batch_udf": batch_udf,
    "mapInPandas by hand": map_in_pandas,
    "mapInArrow by hand": map_in_arrow,
}

ABLATIONS: dict[str, Engine] = {
    "without the direct plane": partial(table_job, plane="spark"),
    "without native backends": partial(table_job, backend="pyfunc"),
    "without the model cache": partial(table_job, cache_bytes=0),
    "without acceleration": partial(table_job, accelerate="off"),
    "with batches of 1,000 rows": partial(table_job, batch_size=1_000),
    "with batches of 10,000 rows": partial(table_job, batch_size=10_000),
    "with batches of 30,000 rows": partial(table_job, batch_size=30_000),
}
"""The same job with one technique turned off, by an option that the job file has anyway."""
