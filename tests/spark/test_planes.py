"""Both planes on tables with everything that Spark and Delta can put into one: the same rows, value by value.

A table whose files may hold other values than Spark reads must be left to Spark, and the plan must say why.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from pyspark.sql import DataFrame, SparkSession

from spark_infer import ScoringJob, score_table
from spark_infer.config import JobConfig
from spark_infer.errors import PlanError, SourceReadError, WriteError
from spark_infer.job.local import run as local_run
from spark_infer.job.local.worker import LocalWork
from spark_infer.job.planes import choice
from spark_infer.job.planes.worker import written_files
from spark_infer.job.prepared import PreparedJob, prepare_job
from spark_infer.job.run import run_job

ROWS = 300


@dataclass(frozen=True)
class Case:
    """A table, and how its rows are to be read.

    Attributes:
        make: Makes the table in a folder.
        doubt: Words of the reason why Spark reads; None where the workers do.
        source: Further keys of the source.
        target: Further keys of the target.
        writes: Words of the reason why Spark writes what the workers read; None where they write too.
        only_spark: Words of the reason why engine `local` refuses it, where it is another one.
    """

    make: Callable[[SparkSession, Path], None]
    doubt: str | None = None
    source: dict[str, Any] | None = None
    target: dict[str, Any] | None = None
    writes: str | None = None
    only_spark: str | None = None


@contextmanager
def session(spark: SparkSession, **conf: str) -> Iterator[None]:
    names = {name.replace("__", "."): value for name, value in conf.items()}
    before = {name: spark.conf.get(name, None) for name in names}
    for name, value in names.items():
        spark.conf.set(name, value)
    try:
        yield
    finally:
        for name, old in before.items():
            if old is None:
                spark.conf.unset(name)
            else:
                spark.conf.set(name, old)


def numbers(spark: SparkSession, *columns: str, rows: int = ROWS) -> DataFrame:
    return spark.range(0, rows, 1, 3).selectExpr("id", "CAST(id AS double) / 4 AS x", *columns)


EVERY_TYPE = (
    "IF(id % 5 = 0, NULL, CAST(id % 100 AS tinyint)) AS i8",
    "CAST(id AS smallint) AS i16",
    "IF(id % 7 = 0, NULL, CAST(id AS int)) AS i32",
    "id + 9007199254740993 AS i64",
    "IF(id % 3 = 0, NULL, CAST(id AS float) / 3) AS f32",
    "CASE id % 4 WHEN 0 THEN double('NaN') WHEN 1 THEN -0.0D WHEN 2 THEN NULL ELSE double('Infinity') END AS f64",
    "IF(id % 2 = 0, NULL, id % 3 = 0) AS yes",
    "CAST(id AS decimal(10, 2)) / 7 AS small_decimal",
    "IF(id % 4 = 0, NULL, CAST(id AS decimal(38, 10)) * 123456789012345678) AS large_decimal",
    "CASE id % 3 WHEN 0 THEN '' WHEN 1 THEN NULL ELSE concat('ü\\u0001 ', id) END AS text",
    "IF(id % 3 = 0, NULL, unhex('00ff80')) AS bytes",
    "IF(id % 3 = 0, NULL, date_add(date'0001-01-01', CAST(id * 12000 AS int))) AS day",
    "IF(id % 3 = 0, NULL, timestamp_micros(id * 1000000000001 - 62135596800000000)) AS moment",
    "IF(id % 3 = 0, NULL, timestamp_ntz'0001-01-01 00:00:00' + make_dt_interval(id, 1, 2, 3.000001)) AS wall",
    "IF(id % 4 = 0, NULL, IF(id % 4 = 1, array(), array(1.5D, NULL, id))) AS numbers",
    "IF(id % 4 = 0, NULL, map('a', id, 'b', NULL)) AS pairs",
    "IF(id % 4 = 0, NULL, named_struct('a', id, 'b', named_struct('c', array('x', NULL), 'd', date'2020-02-02'))) AS s",
)


def every_type(spark: SparkSession, folder: Path) -> None:
    with session(spark, spark__sql__session__timeZone="America/New_York", spark__sql__ansi__enabled="false"):
        numbers(spark, *EVERY_TYPE).write.parquet(str(folder))


def every_type_delta(spark: SparkSession, folder: Path) -> None:
    numbers(spark, *EVERY_TYPE).write.format("delta").save(str(folder))


ODD_PARTITIONS = (
    "CASE id % 5 WHEN 0 THEN NULL WHEN 1 THEN 'a b/c' WHEN 2 THEN '100%=:ü\"''' WHEN 3 THEN '007' ELSE '{[^]}?*#' END "
    "AS word",
    "IF(id % 3 = 0, NULL, CAST(id % 3 AS int)) AS number",
)


def partitioned(spark: SparkSession, folder: Path) -> None:
    numbers(spark, *ODD_PARTITIONS).repartition(1).write.partitionBy("word", "number").parquet(str(folder))


def partitioned_delta(spark: SparkSession, folder: Path) -> None:
    frame = numbers(
        spark,
        *ODD_PARTITIONS,
        "date_add(date'1999-12-31', CAST(id % 2 AS int)) AS day",
        "id % 2 = 0 AS even",
        "CAST(id % 2 AS decimal(4, 2)) AS price",
    ).repartition(1)
    frame.write.format("delta").partitionBy("word", "number", "day", "even", "price").save(str(folder))


def moments_partitioned(spark: SparkSession, folder: Path) -> None:
    frame = numbers(spark, "timestamp'2020-01-01 10:00:00' + make_dt_interval(id % 2) AS moment")
    frame.write.format("delta").partitionBy("moment").save(str(folder))


def int96(spark: SparkSession, folder: Path) -> None:
    with session(spark, spark__sql__parquet__outputTimestampType="INT96"):
        numbers(
            spark, "timestamp_micros(id * 100000000000001) AS moment", "timestamp'0900-01-01' AS old"
        ).write.parquet(str(folder))


def millis(spark: SparkSession, folder: Path) -> None:
    with session(spark, spark__sql__parquet__outputTimestampType="TIMESTAMP_MILLIS"):
        numbers(spark, "timestamp_micros(id * 100000000001) AS moment").write.parquet(str(folder))


def old_calendar(spark: SparkSession, folder: Path) -> None:
    with session(spark, spark__sql__parquet__datetimeRebaseModeInWrite="LEGACY"):
        numbers(spark, "date'1500-01-01' AS day").write.parquet(str(folder))


def old_int96(spark: SparkSession, folder: Path) -> None:
    conf = {
        "spark__sql__parquet__int96RebaseModeInWrite": "LEGACY",
        "spark__sql__parquet__outputTimestampType": "INT96",
    }
    with session(spark, **conf):
        numbers(spark, "timestamp'1500-01-01' AS moment").write.parquet(str(folder))


def by_arrow(spark: SparkSession, folder: Path) -> None:
    """What other programs write: dictionaries, unsigned integers, large texts, several row groups, an empty file."""
    folder.mkdir()
    ids = np.arange(ROWS)
    table = pa.table(
        {
            "id": ids,
            "x": ids / 4,
            "label": pa.array([None if i % 5 == 0 else f"l{i % 3}" for i in ids]).dictionary_encode(),
            "u8": pa.array(ids % 200, pa.uint8()),
            "u32": pa.array(ids + 2**31, pa.uint32()),
            "large": pa.array([f"t{i}" for i in ids], pa.large_string()),
            "pair": pa.FixedSizeListArray.from_arrays(pa.array(np.arange(2.0 * ROWS)), 2),
            "moment": pa.array([datetime(2020, 1, 1, tzinfo=UTC)] * ROWS, pa.timestamp("ms", "UTC")),
            "wall": pa.array([datetime(2020, 1, 1)] * ROWS, pa.timestamp("us")),
        }
    )
    pq.write_table(table, folder / "a.parquet", row_group_size=70, use_dictionary=True)
    pq.write_table(table.slice(0, 0), folder / "b.parquet")


def by_arrow_plain(spark: SparkSession, folder: Path) -> None:
    folder.mkdir()
    pq.write_table(pa.table({"id": np.arange(ROWS), "x": np.arange(ROWS) / 4}), folder / "a.parquet")


def later_column(spark: SparkSession, folder: Path) -> None:
    numbers(spark).write.parquet(str(folder))
    numbers(spark, "'new' AS added", "array(id) AS listed").write.mode("append").parquet(str(folder))


def other_order(spark: SparkSession, folder: Path) -> None:
    numbers(spark, "id + 1 AS y").write.parquet(str(folder))
    numbers(spark, "id + 1 AS y").select("y", "x", "id").write.mode("append").parquet(str(folder))


def other_case(spark: SparkSession, folder: Path) -> None:
    frame = numbers(spark)
    frame.write.parquet(str(folder))
    schema = pq.read_schema(next(folder.glob("*.parquet")))
    table = pa.table({"ID": np.arange(5), "X": np.arange(5.0)}).replace_schema_metadata(schema.metadata)
    pq.write_table(table, folder / "other.parquet")


def same_names(spark: SparkSession, folder: Path) -> None:
    for part in (1, 2):
        (folder / f"part={part}").mkdir(parents=True)
        table = pa.table({"id": np.arange(ROWS) + part * ROWS, "x": np.arange(ROWS) / part})
        pq.write_table(table, folder / f"part={part}" / "same.parquet")


def no_rows(spark: SparkSession, folder: Path) -> None:
    numbers(spark, rows=0).write.parquet(str(folder))


def odd_names(spark: SparkSession, folder: Path) -> None:
    numbers(spark, "id AS `a.b`", "named_struct('b', id) AS a", "id AS `größe in m`", "id AS `x``y`").write.parquet(
        str(folder)
    )


def delta_with(*statements: str, properties: str = "", columns: str = "") -> Callable[[SparkSession, Path], None]:
    def make(spark: SparkSession, folder: Path) -> None:
        spark.sql(f"CREATE TABLE delta.`{folder}` (id BIGINT, x DOUBLE, n INT) USING delta {columns} {properties}")
        numbers(spark, "CAST(id AS int) AS n").write.format("delta").mode("append").save(str(folder))
        for statement in statements:
            spark.sql(statement.format(table=f"delta.`{folder}`"))

    return make


def cloned(spark: SparkSession, folder: Path) -> None:
    origin = folder.with_name("origin")
    numbers(spark).write.format("delta").save(str(origin))
    spark.sql(f"CREATE TABLE delta.`{folder}` SHALLOW CLONE delta.`{origin}`")


VECTORS = "TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')"
WIDENING = "TBLPROPERTIES ('delta.enableTypeWidening' = 'true')"
BY_NAME = "TBLPROPERTIES ('delta.columnMapping.mode' = 'name')"
BY_ID = "TBLPROPERTIES ('delta.columnMapping.mode' = 'id')"


def out_of_pythons_years(spark: SparkSession, folder: Path) -> None:
    numbers(
        spark, "make_date(10000 + CAST(id AS int), 1, 1) AS day", "CAST(unhex('fffe41') AS string) AS odd"
    ).write.parquet(str(folder))


def pairs_with_nulls(spark: SparkSession, folder: Path) -> None:
    folder.mkdir()
    pairs = pa.array([None if i % 3 == 0 else [i, i] for i in range(ROWS)], pa.list_(pa.int32(), 2))
    pq.write_table(pa.table({"id": np.arange(ROWS), "x": np.arange(ROWS) / 4, "pair": pairs}), folder / "a.parquet")


def being_copied(spark: SparkSession, folder: Path) -> None:
    numbers(spark).coalesce(1).write.parquet(str(folder))
    (file,) = folder.glob("*.parquet")
    (folder / "b.parquet._COPYING_").write_bytes(file.read_bytes())


CASES = {
    "every type": Case(every_type),
    "every type, Delta": Case(every_type_delta),
    "partitions": Case(partitioned, target={"partition_by": ["word", "number"]}),
    "partitions, Delta": Case(partitioned_delta, target={"partition_by": ["word", "number", "day", "even"]}),
    "decimals as partitions": Case(partitioned_delta, target={"partition_by": "price"}, writes="price (decimal(4,2))"),
    "timestamps as partitions": Case(moments_partitioned, "moment (timestamp) depend on the session"),
    "INT96": Case(int96),
    "milliseconds": Case(millis),
    "old calendar": Case(old_calendar, "old calendar"),
    "old calendar, INT96": Case(old_int96, "old calendar"),
    "written by Arrow": Case(by_arrow),
    "written by Arrow, plain": Case(by_arrow_plain),
    "column added later": Case(later_column),
    "columns in another order": Case(other_order),
    "same file names": Case(same_names, target={"partition_by": "part"}),
    "no rows": Case(no_rows),
    "odd names": Case(odd_names),
    "Delta, column added later": Case(
        delta_with("ALTER TABLE {table} ADD COLUMN (y STRING)", "INSERT INTO {table} VALUES (-1, 0.5, NULL, 'new')")
    ),
    "Delta, some rows deleted": Case(delta_with("DELETE FROM {table} WHERE id % 7 = 0")),
    "Delta, deletion vectors on, none there": Case(delta_with(properties=VECTORS)),
    "Delta, deletion vectors": Case(
        delta_with("DELETE FROM {table} WHERE id % 7 = 0", properties=VECTORS), "deletion vectors take rows out of"
    ),
    "Delta, deletion vectors in an older version alone": Case(
        delta_with("DELETE FROM {table} WHERE id % 7 = 0", properties=VECTORS), source={"version": 1}
    ),
    "Delta, columns mapped by name": Case(
        delta_with("ALTER TABLE {table} RENAME COLUMN n TO m", properties=BY_NAME), "maps its columns by name"
    ),
    "Delta, columns mapped by id": Case(delta_with(properties=BY_ID), "maps its columns by id"),
    "Delta, widened": Case(
        delta_with("ALTER TABLE {table} ALTER COLUMN n TYPE BIGINT", properties=WIDENING), "were widened"
    ),
    "Delta, padded text": Case(
        lambda spark, folder: delta_with(
            "ALTER TABLE {table} ADD COLUMN (c VARCHAR(9))", "INSERT INTO {table} VALUES (-1, 0.5, NULL, 'new')"
        )(spark, folder),
        "c is of a type that Spark pads",
    ),
    "Delta, shallow clone": Case(cloned, "lie outside its folder"),
    "a file being copied": Case(being_copied),
    "a constant column as partition": Case(
        every_type, target={"partition_by": "model_version"}, writes="model_version has one value"
    ),
    "a condition": Case(every_type_delta, source={"where": "i64 > 9007199254741100 AND (f64 > 0 OR NOT yes)"}),
    "a condition that only Spark evaluates": Case(
        every_type, "only Spark can evaluate `where`", source={"where": "id % 3 = 1"}, only_spark="it has 'mod'"
    ),
    "a condition on odd partitions": Case(partitioned, source={"where": "word > '007' OR number IS NULL"}),
}


def prepared(
    spark: SparkSession, model: str, source: dict[str, Any], target: dict[str, Any], plane: str
) -> PreparedJob:
    document = {"model": {"uri": model}, "source": source, "target": target, "plane": plane}
    return prepare_job(spark, JobConfig.model_validate(document))


def rows_of(frame: DataFrame) -> list[tuple[Any, ...]]:
    """The rows in an order of their own, with every value as text: NaN and -0.0 differ from 0.0 there."""
    plain = frame.drop("scored_at")
    return sorted(tuple(repr(value) for value in row) for row in plain.collect())


def tasks_here(job: LocalWork, numbers: Sequence[int], processes: int, on_done: Callable[[int], None]) -> list[Any]:
    """Do the tasks of engine `local` in this process, with all that its own would be sent and would answer."""
    sent: LocalWork = pickle.loads(pickle.dumps(job))
    done = [written_files(sent.work, sent.folder, number, sent.place, sent.sink) for number in numbers]
    on_done(len(done))
    answers: list[Any] = pickle.loads(pickle.dumps(done))
    return answers


@pytest.mark.parametrize("name", CASES)
def test_both_planes_write_the_same_rows(
    spark: SparkSession, line: str, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = CASES[name]
    case.make(spark, tmp_path / "in")
    source = {"path": str(tmp_path / "in"), **(case.source or {})}
    written = {}
    for plane in ("auto", "spark"):
        target = {"path": str(tmp_path / plane), **(case.target or {})}
        job = prepared(spark, line, source, target, plane)
        report = run_job(spark, job)
        assert report.rows_read == report.rows_scored
        assert not [warning for warning in report.warnings if "began anew" in warning]
        written[plane] = spark.read.format(job.write.location.format).load(str(tmp_path / plane))
        if plane == "auto":
            _check_choice(job, case)
    assert written["auto"].schema == written["spark"].schema
    expected = rows_of(written["spark"])
    assert rows_of(written["auto"]) == expected
    assert name == "no rows" or expected
    local = JobConfig.model_validate(
        {
            "model": {"uri": line},
            "source": source,
            "target": {"path": str(tmp_path / "local"), **(case.target or {})},
            "engine": "local",
        }
    )
    if case.doubt or case.writes or case.only_spark:
        with pytest.raises(PlanError, match=r"[Oo]nly Spark|engine: spark") as refused:
            ScoringJob(local).run()
        assert (case.only_spark or case.doubt or case.writes or "") in str(refused.value)
        assert not (tmp_path / "local").exists()
        return
    # What its processes do, here: starting them is the business of tests/local, and takes seconds each time.
    monkeypatch.setattr(local_run, "do_tasks", tasks_here)
    report = ScoringJob(local).run()
    assert report.rows_scored == len(expected)
    alone = spark.read.format(local.target.format or job.write.location.format).load(str(tmp_path / "local"))
    assert alone.schema == written["spark"].schema
    assert rows_of(alone) == expected


def _check_choice(job: PreparedJob, case: Case) -> None:
    if case.doubt is not None:
        assert (job.plane.name, job.plane.sink) == ("spark", None)
        assert case.doubt in job.plane.why
        return
    assert job.plane.name == "direct", job.plane.why
    if case.writes is None:
        assert job.plane.sink is not None, job.plane.writes_why
    else:
        assert job.plane.sink is None
        assert case.writes in job.plane.writes_why


def test_what_only_spark_reads_is_refused_where_the_direct_plane_is_asked_for(
    spark: SparkSession, line: str, tmp_path: Path
) -> None:
    old_calendar(spark, tmp_path / "in")
    with pytest.raises(PlanError, match="direct plane was asked for") as refused:
        score_table(spark, source=str(tmp_path / "in"), target=str(tmp_path / "out"), model=line, plane="direct")
    assert "old calendar" in str(refused.value)


@pytest.mark.parametrize("make", [old_calendar, other_case])
def test_a_file_that_only_spark_reads_is_met_by_a_worker_and_spark_reads_all(
    spark: SparkSession, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Any
) -> None:
    make(spark, tmp_path / "in")
    monkeypatch.setattr(choice, "footer_doubts", lambda footers: ())
    source = {"path": str(tmp_path / "in")}
    job = prepared(spark, line, source, {"path": str(tmp_path / "out")}, "auto")
    assert job.plane.name == "direct"
    report = run_job(spark, job)
    assert "began anew on the spark plane" in report.warnings[0]
    by_spark = run_job(spark, prepared(spark, line, source, {"path": str(tmp_path / "spark")}, "spark"))
    assert by_spark.rows_scored == report.rows_scored >= ROWS
    written = [spark.read.parquet(str(tmp_path / folder)) for folder in ("out", "spark")]
    assert rows_of(written[0]) == rows_of(written[1])
    assert {path.name for path in tmp_path.iterdir()} == {"in", "out", "spark"}


def vanish(file: Path) -> None:
    file.unlink()


def write_again(file: Path) -> None:
    table = pq.read_table(file)
    pq.write_table(table.set_column(1, "x", pa.array(np.zeros(len(table)))), file)


@pytest.mark.parametrize(("damage", "why"), [(vanish, "vanished"), (write_again, "was written again")])
@pytest.mark.parametrize("kind", ["parquet", "delta"])
def test_a_file_that_changes_after_the_plan_fails_the_run_and_nothing_is_published(
    spark: SparkSession, line: str, tmp_path: Path, damage: Callable[[Path], None], why: str, kind: str
) -> None:
    numbers(spark).write.format(kind).save(str(tmp_path / "in"))
    source, target = {"path": str(tmp_path / "in")}, {"path": str(tmp_path / "out")}
    run_job(spark, prepared(spark, line, source, target, "auto"))
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*") if path.is_file()}
    job = prepared(spark, line, source, {**target, "mode": "append"}, "auto")
    damage(next((tmp_path / "in").glob("*.parquet")))
    with pytest.raises(SourceReadError, match=why):
        run_job(spark, job)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*") if path.is_file()} == before
    assert {path.name for path in tmp_path.iterdir()} == {"in", "out"}


RULES = {
    "constraint few": "ALTER TABLE {table} ADD CONSTRAINT few CHECK (prediction < 1e9)",
    "change data feed": "ALTER TABLE {table} SET TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')",
    "deletionVectors": "ALTER TABLE {table} SET TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')",
}


@pytest.mark.parametrize("rule", ["", *RULES])
def test_a_delta_target_that_has_rules_of_its_own_is_written_by_spark(
    spark: SparkSession, line: str, tmp_path: Path, rule: str
) -> None:
    numbers(spark).write.format("delta").save(str(tmp_path / "in"))
    source, target = {"path": str(tmp_path / "in")}, {"path": str(tmp_path / "out")}
    run_job(spark, prepared(spark, line, source, target, "auto"))
    if rule:
        spark.sql(RULES[rule].format(table=f"delta.`{tmp_path / 'out'}`"))
    job = prepared(spark, line, source, {**target, "mode": "append"}, "auto")
    assert job.plane.name == "direct"
    assert (job.plane.sink is None) == bool(rule)
    assert rule in job.plane.writes_why
    assert run_job(spark, job).rows_scored == ROWS
    assert spark.read.format("delta").load(str(tmp_path / "out")).count() == 2 * ROWS


def test_workers_append_overwrite_and_replace_partitions_of_a_delta_table(
    spark: SparkSession, line: str, tmp_path: Path
) -> None:
    numbers(spark, "CAST(id % 3 AS int) AS part").write.format("delta").partitionBy("part").save(str(tmp_path / "in"))
    place = {"path": str(tmp_path / "out")}

    def run(target: dict[str, Any], **source: Any) -> int | None:
        job = prepared(spark, line, {"path": str(tmp_path / "in"), **source}, {**place, **target}, "direct")
        assert job.plane.sink is not None
        return run_job(spark, job).target_version

    def counts() -> dict[int, int]:
        rows = spark.read.format("delta").load(str(tmp_path / "out")).groupBy("part").count().collect()
        return {row["part"]: row["count"] for row in rows}

    third = ROWS // 3
    assert run({"partition_by": "part"}) == 0
    assert run({"mode": "append"}, partition_filter={"part": [1]}) == 1
    assert counts() == {0: third, 1: 2 * third, 2: third}
    only = {"part": [1]}
    assert run({"mode": "overwrite_partitions", "partitions": only}, partition_filter=only) == 2
    assert counts() == {0: third, 1: third, 2: third}
    assert run({"mode": "overwrite"}, partition_filter={"part": [0, 2]}) == 3
    assert counts() == {0: third, 2: third}
    history = spark.sql(f"DESCRIBE HISTORY delta.`{tmp_path / 'out'}`").collect()
    assert all('"writer":"spark_infer"' in row["userMetadata"] for row in history)
    assert history[0]["operationMetrics"]["numOutputRows"] == str(2 * third)
    assert DeltaTable(str(tmp_path / "out")).to_pyarrow_table().num_rows == 2 * third
    with pytest.raises(WriteError, match="outside the table partitions"):
        run({"mode": "overwrite_partitions", "partitions": only})
    assert counts() == {0: third, 2: third}


@pytest.mark.parametrize("rule", ["ADD COLUMN (y STRING)", "ADD CONSTRAINT few CHECK (prediction < 1e9)"])
def test_a_target_that_another_writer_changes_meanwhile_takes_nothing(
    spark: SparkSession, line: str, tmp_path: Path, rule: str
) -> None:
    numbers(spark).write.format("delta").save(str(tmp_path / "in"))
    source, target = {"path": str(tmp_path / "in")}, {"path": str(tmp_path / "out")}
    run_job(spark, prepared(spark, line, source, target, "auto"))
    job = prepared(spark, line, source, {**target, "mode": "append"}, "auto")
    assert job.plane.sink is not None
    spark.sql(f"ALTER TABLE delta.`{tmp_path / 'out'}` {rule}")
    files = set((tmp_path / "out").glob("*.parquet"))
    with pytest.raises(WriteError, match="changed by another writer"):
        run_job(spark, job)
    assert set((tmp_path / "out").glob("*.parquet")) == files
    assert spark.read.format("delta").load(str(tmp_path / "out")).count() == ROWS


CONDITIONS = (
    "f > 5",
    "f >= 0",
    "f <= -0.0",
    "isnan(f)",
    "s > 'zzü'",
    "s < 'zz'",
    "d < date'1970-01-01'",
    "x > 70",
)


@pytest.mark.parametrize("kind", ["parquet", "delta"])
def test_conditions_find_the_same_rows_in_what_workers_wrote(
    spark: SparkSession, line: str, tmp_path: Path, kind: str
) -> None:
    numbers(
        spark,
        "CASE id % 5 WHEN 0 THEN double('NaN') WHEN 1 THEN NULL ELSE -0.0D END AS f",
        "concat('zz', repeat('ü', CAST(id % 40 AS int))) AS s",
        "date_add(date'1969-12-01', CAST(id AS int)) AS d",
    ).write.parquet(str(tmp_path / "in"))
    place = tmp_path / "o ü #x"
    target = {"path": str(place), "format": kind}
    job = prepared(spark, line, {"path": str(tmp_path / "in")}, target, "direct")
    assert job.plane.sink is not None
    run_job(spark, job)
    run_job(spark, prepared(spark, line, {"path": str(tmp_path / "in")}, {**target, "mode": "append"}, "direct"))
    source, written = spark.read.parquet(str(tmp_path / "in")), spark.read.format(kind).load(str(place))
    found = {condition: written.where(condition).count() for condition in CONDITIONS}
    assert found == {condition: 2 * source.where(condition).count() for condition in CONDITIONS}
    assert min(found[condition] for condition in CONDITIONS if condition != "s < 'zz'") > 0


def test_a_delta_target_whose_path_the_committing_library_would_decode_is_written_by_spark(
    spark: SparkSession, line: str, tmp_path: Path
) -> None:
    numbers(spark).write.parquet(str(tmp_path / "in"))
    target = {"path": str(tmp_path / "o%41"), "format": "delta"}
    job = prepared(spark, line, {"path": str(tmp_path / "in")}, target, "auto")
    assert (job.plane.name, job.plane.sink) == ("direct", None)
    run_job(spark, job)
    assert spark.read.format("delta").load(str(tmp_path / "o%41")).count() == ROWS


@pytest.mark.parametrize("make", [out_of_pythons_years, pairs_with_nulls])
def test_what_python_or_pyarrow_cannot_hold_passes_through(
    spark: SparkSession, line: str, tmp_path: Path, make: Any
) -> None:
    make(spark, tmp_path / "in")
    reports = [
        run_job(spark, prepared(spark, line, {"path": str(tmp_path / "in")}, {"path": str(tmp_path / plane)}, plane))
        for plane in ("auto", "spark")
    ]
    assert [report.rows_scored for report in reports] == [ROWS, ROWS]
    same = ("id", "day", "odd") if make is out_of_pythons_years else ("id", "pair")
    plain = [spark.read.parquet(str(tmp_path / plane)).selectExpr(*_as_texts(same)) for plane in ("auto", "spark")]
    assert rows_of(plain[0]) == rows_of(plain[1])


def _as_texts(names: tuple[str, ...]) -> list[str]:
    return [f"hex(CAST({name} AS string)) AS {name}" for name in names]


@pytest.mark.parametrize("mode", ["overwrite", "overwrite_partitions"])
def test_an_overwrite_replaces_files_whose_names_spark_did_not_escape(
    spark: SparkSession, line: str, tmp_path: Path, mode: str
) -> None:
    numbers(spark, "'é' AS word").write.format("delta").save(str(tmp_path / "in"))
    source, target = {"path": str(tmp_path / "in")}, {"path": str(tmp_path / "out"), "partition_by": "word"}
    run_job(spark, prepared(spark, line, source, target, "spark"))
    again = {**target, "mode": mode, **({"partitions": {"word": ["é"]}} if mode == "overwrite_partitions" else {})}
    for _ in range(2):
        run_job(spark, prepared(spark, line, source, again, "auto"))
        assert spark.read.format("delta").load(str(tmp_path / "out")).count() == ROWS
        assert DeltaTable(str(tmp_path / "out")).to_pyarrow_table().num_rows == ROWS


def test_an_overwrite_by_workers_keeps_the_order_and_the_comments_of_the_columns(
    spark: SparkSession, line: str, tmp_path: Path
) -> None:
    numbers(spark).write.format("delta").save(str(tmp_path / "in"))
    columns = "model_version STRING, prediction DOUBLE COMMENT 'the score', x DOUBLE, id BIGINT COMMENT 'key', "
    columns += "scored_at TIMESTAMP, model_name STRING"
    spark.sql(f"CREATE TABLE delta.`{tmp_path / 'out'}` ({columns}) USING delta")
    before = spark.read.format("delta").load(str(tmp_path / "out")).schema
    target = {"path": str(tmp_path / "out"), "mode": "overwrite"}
    job = prepared(spark, line, {"path": str(tmp_path / "in")}, target, "auto")
    for _ in range(2):
        run_job(spark, job)
        job = prepared(spark, line, {"path": str(tmp_path / "in")}, target, "auto")
    after = spark.read.format("delta").load(str(tmp_path / "out"))
    assert (after.schema, after.count()) == (before, ROWS)


def test_a_parquet_table_without_rows_keeps_its_partition_column(
    spark: SparkSession, line: str, tmp_path: Path
) -> None:
    numbers(spark, "'a' AS word", "CAST(id % 2 AS int) AS n").write.partitionBy("n").parquet(str(tmp_path / "in"))
    source = {"path": str(tmp_path / "in"), "partition_filter": {"n": [7]}}
    target = {"path": str(tmp_path / "out"), "partition_by": "word"}
    run_job(spark, prepared(spark, line, source, target, "direct"))
    assert "word" in spark.read.parquet(str(tmp_path / "out")).columns


def test_a_parquet_table_of_the_catalog_is_read_with_its_own_options(
    spark: SparkSession, line: str, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a", "b"):
        pq.write_table(pa.table({"id": np.arange(5), "x": np.arange(5.0)}), tmp_path / "in" / f"{name}.parquet")
    options = f"OPTIONS ('pathGlobFilter' = 'a*') LOCATION '{tmp_path / 'in'}'"
    spark.sql(f"CREATE TABLE globbed (id BIGINT, x DOUBLE) USING parquet {options}")
    try:
        target = {"path": str(tmp_path / "out")}
        assert run_job(spark, prepared(spark, line, {"table": "globbed"}, target, "auto")).rows_scored == 5
    finally:
        spark.sql("DROP TABLE globbed")


def test_files_of_a_commit_stay_when_what_follows_the_commit_fails(
    spark: SparkSession, line: str, tmp_path: Path
) -> None:
    numbers(spark).write.format("delta").save(str(tmp_path / "in"))
    source, target = {"path": str(tmp_path / "in")}, {"path": str(tmp_path / "out")}
    run_job(spark, prepared(spark, line, source, target, "auto"))
    spark.sql(f"ALTER TABLE delta.`{tmp_path / 'out'}` SET TBLPROPERTIES ('delta.checkpointInterval' = '1')")
    last = tmp_path / "out" / "_delta_log" / "_last_checkpoint"
    if last.exists():
        last.unlink()
    (last / "in the way").mkdir(parents=True)
    job = prepared(spark, line, source, {**target, "mode": "append"}, "auto")
    assert job.plane.sink is not None
    assert run_job(spark, job).target_version == 2
    assert DeltaTable(str(tmp_path / "out"), version=2).to_pyarrow_table().num_rows == 2 * ROWS


@pytest.mark.parametrize("plane", ["spark", "direct"])
def test_equal_rows_are_predicted_once_and_the_report_says_so(
    spark: SparkSession, line: str, tmp_path: Path, plane: str
) -> None:
    rows = spark.range(0, 400, 1, 1).selectExpr("id", "CAST(id % 7 AS double) AS x")
    rows.write.parquet(str(tmp_path / "in"))
    report = score_table(
        spark,
        source=str(tmp_path / "in"),
        target={"path": str(tmp_path / "out"), "format": "parquet"},
        model=line,
        plane=plane,
        deduplicate="always",
        batch_size=50,
    )
    assert (report.rows_scored, report.rows_predicted) == (400, 7)
    assert "7 predicted, the others are equal to one of them" in str(report)
    wrong = spark.read.parquet(str(tmp_path / "out")).where("abs(prediction - 2 * x) > 1e-9 OR x <> id % 7")
    assert wrong.count() == 0
