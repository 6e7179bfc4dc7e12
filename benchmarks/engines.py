"""The engines: one function each, from Parquet files to Parquet files with `id` and `prediction`.

To add one, write a function of the same shape and put it into `ENGINES`. Everything in it is timed, so
what a user does once and keeps (a session, a pool of processes) belongs in `Bench`.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import mlflow.pyfunc

import spark_infer
from benchmarks.bench import Bench
from benchmarks.rounds import Engine
from benchmarks.worker import predict_in_memory, score_batches, score_file
from benchmarks.workload import FEATURES


def ours(bench: Bench, target: Path) -> None:
    """spark_infer.score."""
    workload = bench.workload
    frame = bench.spark.read.parquet(str(workload.source))
    scored = spark_infer.score(
        frame, workload.model_uri, keep=["id"], output="prediction", tracking_uri=workload.tracking_uri
    )
    scored.write.parquet(str(target))


def table_job(bench: Bench, target: Path, *, plane: str = "auto") -> None:
    """spark_infer.score_table."""
    workload = bench.workload
    spark_infer.score_table(
        bench.spark,
        source={"path": str(workload.source)},
        target={
            "path": str(target),
            "keep": ["id"],
            "output": "prediction",
            "model_name_column": None,
            "model_version_column": None,
            "scored_at_column": None,
        },
        model={"uri": workload.model_uri, "tracking_uri": workload.tracking_uri},
        plane=plane,
    )


def spark_udf(bench: Bench, target: Path) -> None:
    """mlflow.pyfunc.spark_udf in the workers' own Python environment."""
    workload = bench.workload
    predict = mlflow.pyfunc.spark_udf(
        bench.spark, workload.model_uri, result_type=workload.prediction_type, env_manager="local"
    )
    frame = bench.spark.read.parquet(str(workload.source))
    frame.select("id", predict(*FEATURES).alias("prediction")).write.parquet(str(target))


def map_in_arrow(bench: Bench, target: Path) -> None:
    """DataFrame.mapInArrow, written by hand: only the needed columns, the model loaded once per worker."""
    predict = partial(score_batches, features=FEATURES, model_folder=str(bench.workload.model_folder))
    frame = bench.spark.read.parquet(str(bench.workload.source)).select("id", *FEATURES)
    frame.mapInArrow(predict, f"id long, prediction {bench.workload.prediction_type}").write.parquet(str(target))


def limit(bench: Bench, target: Path) -> None:
    """The limit: pyarrow reads, the model predicts, pyarrow writes, in as many processes and without Spark."""
    target.mkdir()
    tasks = [
        bench.pool.submit(score_file, path, target / path.name, FEATURES, str(bench.workload.model_folder))
        for path in sorted(bench.workload.source.glob("*.parquet"))
    ]
    for task in tasks:
        task.result()


def model_alone(bench: Bench, target: Path) -> None:
    """The model alone: it predicts as many rows, in as many processes, on arrays that lie in memory."""
    paths = sorted(bench.workload.source.glob("*.parquet"))
    tasks = [bench.pool.submit(predict_in_memory, path, FEATURES, str(bench.workload.model_folder)) for path in paths]
    for task in tasks:
        task.result()


ENGINES: dict[str, Engine] = {
    "spark_infer": Engine(table_job),
    "spark_infer, spark plane": Engine(partial(table_job, plane="spark")),
    "spark_infer.score": Engine(ours),
    "mlflow spark_udf": Engine(spark_udf),
    "mapInArrow by hand": Engine(map_in_arrow),
    "limit (no Spark)": Engine(limit),
    "model alone": Engine(model_alone, writes=False),
}
