"""A program of its own: the three doors on a Spark Connect session; prints what it saw as one JSON object.

    python tests/connect/doors.py sc://127.0.0.1:15002 FOLDER

FOLDER holds a model and a module `user_steps`; the tables are made there. The session refuses what serverless compute
refuses.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyspark
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

import spark_infer
from spark_infer import model_udf, score, score_table
from spark_infer.config import SparkConfig
from spark_infer.job.__main__ import main as job_entry
from spark_infer.spark.server import require_server
from spark_infer.spark.session import start_session
from spark_infer.spark.tables import same_disk
from spark_infer.tables.delta import delta_conf
from tests.connect import serverless

BIG = 2**53 + 1
FOLDER = Path(sys.argv[2])
MODEL = str(FOLDER / "model")


def at(name: str) -> str:
    return str(FOLDER / name)


def session(place: str) -> SparkSession:
    if place.startswith("sc://"):
        conf = {"spark.sql.shuffle.partitions": "2", "spark.executor.memory": "9g"}
        return start_session(SparkConfig(remote=place, conf=conf), app_name="doors")
    conf = {
        **delta_conf(),
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.progress.reportInterval": "100ms",
        "spark.databricks.delta.snapshotPartitions": "2",
        "spark.driver.memory": "1g",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.warehouse.dir": "warehouse",
        "spark.ui.enabled": "false",
    }
    builder = SparkSession.Builder().remote(place)
    for name, value in conf.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


def column(spark: SparkSession, rows: DataFrame) -> dict[str, Any]:
    predict = model_udf(spark, MODEL)
    spark.udf.register("predict", predict)
    rows.createOrReplaceTempView("rows")
    frames = {
        "by name": rows.select(predict().alias("p")),
        "by expression": rows.select(predict(x="x", n=rows.n).alias("p")),
        "by position": rows.select(predict(rows.x * 1, rows.n).alias("p")),
        "by struct": rows.select(F.struct("n", "x").alias("s")).select(predict("s").alias("p")),
        "sql struct": spark.sql("SELECT predict(struct(*)) AS p FROM rows"),
        "sql columns": spark.sql("SELECT predict(x, n) AS p FROM rows"),
    }
    return {name: [frame.schema["p"].dataType.simpleString(), total(frame, "p")] for name, frame in frames.items()}


def total(frame: DataFrame, name: str) -> float:
    return float(round(frame.agg({name: "sum"}).collect()[0][0], 6))


def frame(rows: DataFrame) -> list[list[Any]]:
    scored = score(rows, MODEL, keep="id", where="n < 3").orderBy("id")
    return [[row["id"], round(row["prediction"], 6)] for row in scored.collect()]


def tables(spark: SparkSession, rows: DataFrame) -> dict[str, Any]:
    rows.write.partitionBy("half").parquet(at("in_parquet"))
    rows.write.format("delta").partitionBy("half").save(at("in_delta"))
    seen: list[tuple[int, int]] = []
    calls: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "parquet": ({"path": at("in_parquet")}, {"path": at("out_parquet"), "partition_by": "half"}),
        "delta": ({"path": at("in_delta")}, {"path": at("out_delta"), "partition_by": "half"}),
        "delta half": (
            {"path": at("in_delta"), "partition_filter": {"half": [1]}},
            {"path": at("out_delta"), "mode": "overwrite_partitions", "partitions": {"half": [1]}},
        ),
        "catalog": ({"path": at("in_delta"), "version": 0}, {"table": "scored", "format": "delta"}),
    }
    reports = {
        name: score_table(
            spark,
            source=source,
            target=target,
            model=MODEL,
            on_progress=lambda progress: seen.append((progress.tasks_done, progress.tasks_total)),
        )
        for name, (source, target) in calls.items()
    }
    parquet = {"path": at("in_parquet")}
    reports["hosted"] = score_table(spark, source=parquet, target=at("out_hosted"), model=MODEL, hosting="executor")
    return {
        "reports": {name: report.to_dict() for name, report in reports.items()},
        "progress": seen,
        "catalog": total(spark.table("scored"), "prediction"),
    }


def entries(spark: SparkSession) -> dict[str, Any]:
    """What runs as a job on the session that is there."""
    (FOLDER / "job.yaml").write_text(
        f"model: {MODEL}\nsource: {at('in_delta')}\ntarget: {{path: {at('out_job')}, keep: [id]}}\n"
    )
    # As a Python task of Databricks: in a thread that has no session of its own, beside the one that is there.
    os.environ["DATABRICKS_RUNTIME_VERSION"] = "17.3"
    if sys.argv[1].startswith("sc://"):  # without it, a thin client's `getOrCreate` does not look for a session
        os.environ["SPARK_REMOTE"] = sys.argv[1]
    with ThreadPoolExecutor(1) as thread:
        found: dict[str, Any] = {"job": thread.submit(job_entry, [at("job.yaml")]).result()}
    for name in ("DATABRICKS_RUNTIME_VERSION", "SPARK_REMOTE"):
        os.environ.pop(name, None)
    found["runs on"] = spark.range(3).count()
    return found


def elsewhere(spark: SparkSession) -> dict[str, Any]:
    """As on a server whose disk is not ours: nothing is looked at from here, Spark is asked for all of it."""
    here = same_disk.same_disk(spark)
    same_disk._FOUND[spark.session_id] = False  # type: ignore[attr-defined]
    try:
        table = {"path": at("in_delta"), "partition_filter": {"half": [0]}}
        report = score_table(spark, source=table, target=at("far"), model=MODEL)
        parquet = {"path": at("in_parquet")}
        refused = raised(lambda: score_table(spark, source=parquet, target=at("p"), model=MODEL))
        again = raised(lambda: score_table(spark, source=table, target=at("far"), model=MODEL))
        absent = raised(lambda: score_table(spark, source=at("nix"), target=at("p"), model=MODEL))
    finally:
        same_disk._FOUND[spark.session_id] = here  # type: ignore[attr-defined]
    return {
        "same disk": here,
        "report": report.to_dict(),
        "parquet target": refused,
        "target is there": again,
        "no source": absent,
    }


def raised(call: Callable[[], object]) -> list[str]:
    try:
        call()
    except Exception as error:
        return [type(error).__name__, str(error)]
    return ["nothing", ""]


def errors(spark: SparkSession, rows: DataFrame) -> dict[str, list[str]]:
    sys.path.insert(0, str(FOLDER))
    spark.addArtifacts(at("user_steps.py"), pyfile=True)
    rows.selectExpr("id", "x", "nullif(n, 7) AS n").write.parquet(at("in_null"))

    def table(source: str, **changed: Any) -> Callable[[], object]:
        target = changed.pop("target", {"path": at("failed")})
        return lambda: score_table(spark, source={"path": at(source)}, target=target, model=MODEL, **changed)

    found = {
        "no table": raised(table("nix")),
        "no column": raised(lambda: score(rows, MODEL, where="nix > 3")),
        "no column in table": raised(
            lambda: score_table(spark, source={"path": at("in_delta"), "where": "nix > 3"}, target=at("p"), model=MODEL)
        ),
        "target is there": raised(table("in_delta", target={"path": at("out_delta")})),
        "merge": raised(table("in_delta", target={"path": at("out_delta"), "mode": "merge", "keys": ["id"]})),
        "schema": raised(lambda: score(rows.drop("n"), MODEL)),
        "value": raised(table("in_null")),
        "dead worker": raised(table("in_delta", preprocess="user_steps:die")),
        "step": raised(table("in_delta", preprocess="user_steps:complain")),
        "no library": raised(lambda: require_server(spark, "nosuchlibrary")),
    }
    found["left behind"] = [str((FOLDER / "failed").exists())]
    # What a client of another Python version would say of itself.
    pyspark.sql.connect.udtf.get_python_ver = lambda: "3.8"  # type: ignore[attr-defined]
    found["other python"] = raised(lambda: score(rows, MODEL))
    return found


def main() -> None:
    spark = session(sys.argv[1])
    serverless.refuse_as_serverless()
    rows = spark.range(1000, numPartitions=3).selectExpr(
        f"id + {BIG} AS id", "CAST(id AS double) AS x", "id AS n", "CAST(id % 2 AS int) AS half"
    )
    facts = {
        "session": type(spark).__module__,
        "time zone": spark.conf.get("spark.sql.session.timeZone"),
        "column": column(spark, rows),
        "frame": frame(rows),
        "tables": tables(spark, rows),
        "elsewhere": elsewhere(spark),
        "classic modules": sorted(name for name in ("py4j", "pyspark.core.context") if name in sys.modules),
        "entries": entries(spark),
        "errors": errors(spark, rows),
        "refused settings": sorted(serverless.asked_for),
        "package": spark_infer.__version__,
    }
    spark.stop()
    sys.stdout.write(json.dumps(facts) + "\n")


if __name__ == "__main__":
    main()
