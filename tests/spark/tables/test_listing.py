"""Which files a Parquet folder holds: those that Spark reads, rule by rule and in random states, or a refusal.

Partition values are compared as text: which types Spark guesses for them is not the listing's business.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet as pq
from pyspark.sql import DataFrame, SparkSession

from spark_infer import ScoringJob
from spark_infer.config import JobConfig
from spark_infer.engines.local import units as local_units
from spark_infer.errors import PlanError, SourceError
from spark_infer.job.run import run_job
from tests.here import tasks_here
from tests.spark.odd_tables import prepared, session
from tests.spark.tables.folders import READ, REFUSED, listed, put, states
from tests.spark.tables.random_folders import copied_stream, random_folder

BATCHES = 4
"""Of a stream: three are compacted, and one is not."""


@pytest.fixture(scope="module")
def streams(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Sequence[Path]:
    """What Structured Streaming writes, without partitions and with them."""
    root = tmp_path_factory.mktemp("streams")
    for number in range(BATCHES):
        rows = {"id": [10 * number, 10 * number + 1], "x": [float(number), 0.5], "part": [number % 2, 2]}
        (root / "in").mkdir(exist_ok=True)
        pq.write_table(pa.table(rows), root / "in" / f"{number}.parquet")
    with session(spark, spark__sql__streaming__fileSink__log__compactInterval="3"):
        for name, columns in (("plain", []), ("partitioned", ["part"])):
            rows_in = spark.readStream.schema("id long, x double, part long").option("maxFilesPerTrigger", 1)
            writer = rows_in.parquet(str(root / "in")).writeStream.partitionBy(*columns).trigger(availableNow=True)
            options = {"checkpointLocation": str(root / f"{name} checkpoint")}
            query = writer.format("parquet").options(**options).start(str(root / name))
            query.awaitTermination()
    assert {each.name for each in (root / "plain" / "_spark_metadata").glob("[0-9]*")} == {"0", "1", "2.compact", "3"}
    return (root / "plain", root / "partitioned")


@pytest.fixture(autouse=True)
def texts(spark: SparkSession) -> Iterator[None]:
    with session(spark, spark__sql__sources__partitionColumnTypeInference__enabled="false"):
        yield


def spark_reads(spark: SparkSession, folder: Path, partitions: int) -> DataFrame:
    """Spark's own read of a folder with so many partition columns, as one column."""
    frame = spark.read.schema("id long, x double").parquet(str(folder))
    names = [name for name in frame.columns if name not in ("id", "x")]
    assert len(names) == partitions, folder
    return frame.selectExpr(f"array({', '.join(['CAST(id AS string)', *names])}) AS row")


def compared(spark: SparkSession, folders: Sequence[Path]) -> list[Path]:
    """Compare our rows with Spark's own; return the folders that we refuse."""
    ours, refused = {}, []
    for folder in folders:
        try:
            ours[folder] = listed(folder)
        except SourceError:
            refused.append(folder)
    frames = [spark_reads(spark, folder, len(rows[0]) - 1) for folder, rows in ours.items()]
    numbered = [frame.selectExpr(f"{number} AS folder", "row") for number, frame in enumerate(frames)]
    found: dict[int, list[tuple[str | None, ...]]] = {number: [] for number in range(len(frames))}
    for row in reduce(DataFrame.unionAll, numbered).collect():
        found[row.folder].append(tuple(row.row))
    for number, (folder, rows) in enumerate(ours.items()):
        assert sorted(found[number], key=str) == sorted(((str(row[0]), *row[1:]) for row in rows), key=str), folder
    return refused


def test_every_rule_of_spark(spark: SparkSession, streams: Sequence[Path], tmp_path: Path) -> None:
    assert compared(spark, [folder for _, folder in states(READ, tmp_path / "read")]) == []
    for name, folder in states(REFUSED, tmp_path / "refused"):
        with pytest.raises(SourceError) as refused:
            listed(folder)
        assert refused.value.next_step, name
    assert compared(spark, streams) == []


@pytest.mark.parametrize("count", [30, pytest.param(100, marks=pytest.mark.soak)])
def test_random_folders(spark: SparkSession, streams: Sequence[Path], tmp_path: Path, count: int) -> None:
    for seed in range(count):
        random_folder(seed, tmp_path / str(seed), streams)
    refused = compared(spark, [tmp_path / str(seed) for seed in range(count)])
    assert len(refused) < count / 3


def jobs(spark: SparkSession, line: str, source: Path, targets: Path) -> dict[str, list[int] | str]:
    """The ids that a job writes by each plane and engine, or the error that it is refused with."""
    found: dict[str, list[int] | str] = {}
    for how in ("auto", "spark", "local"):
        target = {"path": str(targets / how), "keep": ["id"]}
        try:
            if how == "local":
                config = {"model": {"uri": line}, "source": {"path": str(source)}, "target": target, "engine": "local"}
                ScoringJob(JobConfig.model_validate(config)).run()
            else:
                run_job(prepared(spark, line, {"path": str(source)}, target, how))
            found[how] = sorted(pq.read_table(targets / how, partitioning=None)["id"].to_pylist())
        except PlanError as error:
            found[how] = type(error).__name__
    return found


def test_a_failed_batch_is_scored_once(
    spark: SparkSession, line: str, streams: Sequence[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_units, "do_tasks", tasks_here)
    folder = tmp_path / "in"
    copied_stream(streams[1], folder)
    put(folder, "part=0/part-of-a-failed-batch.parquet")
    ids = sorted(10 * number + row for number in range(BATCHES) for row in (0, 1))
    assert jobs(spark, line, folder, tmp_path) == dict.fromkeys(("auto", "spark", "local"), ids)


@pytest.mark.soak
def test_random_folders_by_whole_jobs(
    spark: SparkSession, line: str, streams: Sequence[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_units, "do_tasks", tasks_here)
    done = 0
    for seed in range(100):
        folder = tmp_path / str(seed)
        random_folder(seed, folder / "in", streams)
        found = jobs(spark, line, folder / "in", folder)
        if found["auto"] != "SourceError":
            done += 1
            # With a schema, for Spark looks for one in the first file, which may be empty.
            own = spark.read.schema("id long, x double").parquet(str(folder / "in"))
            ids = sorted(row.id for row in own.collect())
            assert found == dict.fromkeys(("auto", "spark", "local"), ids), seed
    assert done > 66
