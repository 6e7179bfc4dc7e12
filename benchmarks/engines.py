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
from benchmarks.worker import score_batches, score_file
from benchmarks.workload import FEATURES


def ours(bench: Bench, target: Path) -> None:
    """spark_infer.score."""
    workload = bench.workload
    frame = bench.spark.read.parquet(str(workload.source))
    scored = spark_infer.score(
        frame, workload.model_uri, keep=["id"], output="prediction", tracking_uri=workload.tracking_uri
    )
    scored.write.parquet(str(target))


def spark_udf(bench: Bench, target: Path) -> None:
    """mlflow.pyfunc.spark_udf in the workers' own Python environment."""
    predict = mlflow.pyfunc.spark_udf(bench.spark, bench.workload.model_uri, result_type="long", env_manager="local")
    frame = bench.spark.read.parquet(str(bench.workload.source))
    frame.select("id", predict(*FEATURES).alias("prediction")).write.parquet(str(target))


def map_in_arrow(bench: Bench, target: Path) -> None:
    """DataFrame.mapInArrow, written by hand: only the needed columns, the model loaded once per worker."""
    predict = partial(score_batches, features=FEATURES, model_folder=str(bench.workload.model_folder))
    frame = bench.spark.read.parquet(str(bench.workload.source)).select("id", *FEATURES)
    frame.mapInArrow(predict, "id long, prediction long").write.parquet(str(target))


def limit(bench: Bench, target: Path) -> None:
    """The limit: pyarrow reads, the model predicts, pyarrow writes, in as many processes and without Spark."""
    target.mkdir()
    tasks = [
        bench.pool.submit(score_file, path, target / path.name, FEATURES, str(bench.workload.model_folder))
        for path in sorted(bench.workload.source.glob("*.parquet"))
    ]
    for task in tasks:
        task.result()


ENGINES: dict[str, Engine] = {
    "spark_infer": ours,
    "mlflow spark_udf": spark_udf,
    "mapInArrow by hand": map_in_arrow,
    "limit (no Spark)": limit,
}
