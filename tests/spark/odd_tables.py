"""Tables with everything that Spark and Delta can put into one, and what a plane is to make of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession

from spark_infer.config import JobConfig
from spark_infer.engines.prepared_job import PreparedJob
from tests.spark.prepared import prepare_on

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
    "IF(id % 5 < 2, NULL, CAST(id % 5 % 3 AS int)) AS number",
)
"""Five pairs of values: each partition is a file to write and to read, several times."""


def partitioned(spark: SparkSession, folder: Path) -> None:
    numbers(spark, *ODD_PARTITIONS).repartition(1).write.partitionBy("word", "number").parquet(str(folder))


def partitioned_delta(spark: SparkSession, folder: Path) -> None:
    frame = numbers(
        spark,
        *ODD_PARTITIONS,
        "date_add(date'1999-12-31', CAST(id % 5 % 2 AS int)) AS day",
        "id % 5 % 2 = 0 AS even",
        "CAST(id % 5 % 2 AS decimal(4, 2)) AS price",
    ).repartition(1)
    frame.write.format("delta").partitionBy("word", "number", "day", "even", "price").save(str(folder))


def unclear_partitions(spark: SparkSession, folder: Path) -> None:
    """Instants as old versions of Delta wrote them, in the session's time zone, and a number that only Python reads."""
    _by_moment(spark, folder, "CAST(1000 + id % 2 AS int) AS number", utc="false")
    log = folder / "_delta_log" / f"{0:020}.json"
    log.write_text(log.read_text().replace('"number":"1000"', '"number":"1_000"'))
    for checksum in log.parent.glob("*.crc"):
        checksum.unlink()


def reals_partitioned(spark: SparkSession, folder: Path) -> None:
    _by_moment(
        spark,
        folder,
        "CASE id % 4 WHEN 0 THEN double('NaN') WHEN 1 THEN -0.0D WHEN 2 THEN 1.5E300 END AS real",
        "CASE id % 4 WHEN 0 THEN float('-Infinity') WHEN 1 THEN 0.1F WHEN 2 THEN 16777216F END AS single",
        "IF(id % 4 = 0, NULL, timestamp_ntz'2020-01-01 10:00:00.000001' + make_dt_interval(id % 4)) AS wall",
        utc="true",
    )


def _by_moment(spark: SparkSession, folder: Path, *columns: str, utc: str) -> None:
    frame = numbers(spark, "timestamp'2020-01-01 10:00:00.5' + make_dt_interval(id % 4) AS moment", *columns)
    names = [name for name in frame.columns if name not in ("id", "x")]
    with session(spark, spark__databricks__delta__write__utcTimestampPartitionValues=utc):
        frame.repartition(1).write.format("delta").partitionBy(*names).save(str(folder))


def int96(spark: SparkSession, folder: Path) -> None:
    with session(spark, spark__sql__parquet__outputTimestampType="INT96"):
        numbers(
            spark, "timestamp_micros(id * 100000000000001) AS moment", "timestamp'0900-01-01' AS old"
        ).write.parquet(str(folder))


def millis(spark: SparkSession, folder: Path) -> None:
    # Marked as of the old calendar, and no value lies before the new one.
    conf = {
        "spark__sql__parquet__outputTimestampType": "TIMESTAMP_MILLIS",
        "spark__sql__parquet__datetimeRebaseModeInWrite": "LEGACY",
    }
    with session(spark, **conf):
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
            "moment": pa.array([datetime(2020, 1, 1, tzinfo=timezone.utc)] * ROWS, pa.timestamp("ms", "UTC")),
            "wall": pa.array([datetime(2020, 1, 1)] * ROWS, pa.timestamp("us")),
            "u64": pa.array(ids.astype("uint64") + np.uint64(2**63), pa.uint64()),
            "json": pa.array(['{"a": 1}'] * ROWS, pa.json_()),
            "three": pa.array([b"abc"] * ROWS, pa.binary(3)),
            "nothing": pa.nulls(ROWS),
            "span": pa.array(ids, pa.duration("us")),
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


def changed_often(*more: str) -> Callable[[SparkSession, Path], None]:
    """Files whose rows were deleted and updated, several times: with more than one row group each."""

    def make(spark: SparkSession, folder: Path) -> None:
        with small_row_groups(spark):
            spark.sql(f"CREATE TABLE delta.`{folder}` (id BIGINT, x DOUBLE, n INT) USING delta {VECTORS}")
            rows = numbers(spark, "CAST(id AS int) AS n", rows=3 * ROWS)
            rows.write.format("delta").mode("append").save(str(folder))
            spark.range(0, 1000, 13).selectExpr("id", "-id AS y").createOrReplaceTempView("news")
            for statement in (
                "DELETE FROM {table} WHERE id % 7 = 0",
                "UPDATE {table} SET x = -x WHERE id % 11 = 0",
                *more,
                "DELETE FROM {table} WHERE id BETWEEN 400 AND 600",
            ):
                spark.sql(statement.format(table=f"delta.`{folder}`"))

    return make


MERGED = (
    "MERGE INTO {table} t USING news s ON t.id = s.id WHEN MATCHED THEN UPDATE SET n = y "
    "WHEN NOT MATCHED THEN INSERT (id, x, n) VALUES (s.id, 0.5, s.y)"
)


def upgraded(spark: SparkSession, folder: Path) -> None:
    """An existing table with partitions that got a column mapping, and columns renamed, dropped and added again."""
    table = f"delta.`{folder}`"
    rows = numbers(
        spark,
        "concat('p', id % 3) AS part",
        "id AS gone",
        "named_struct('a', id, 'b', named_struct('c', concat('t', id), 'd', array(named_struct('e', id)))) AS s",
        "map('k', named_struct('v', id)) AS pairs",
    )
    rows.write.format("delta").partitionBy("part").save(str(folder))
    versions = {"delta.minReaderVersion": "2", "delta.minWriterVersion": "5"}
    mapped = {"delta.columnMapping.mode": "name", "delta.enableDeletionVectors": "true", **versions}
    for statement in (
        f"ALTER TABLE {table} SET {with_properties(mapped)}",
        f"ALTER TABLE {table} RENAME COLUMN part TO `the part`",
        f"ALTER TABLE {table} RENAME COLUMN s.b.c TO text",
        f"ALTER TABLE {table} RENAME COLUMN s.b.d.element.e TO inner",
        f"ALTER TABLE {table} DROP COLUMN gone",
        f"ALTER TABLE {table} ADD COLUMN (gone BIGINT)",
        f"DELETE FROM {table} WHERE id % 7 = 0",
        f"INSERT INTO {table} SELECT -id, 0.5, 'new', s, pairs, id FROM {table} WHERE id < 20",
    ):
        spark.sql(statement)


def by_id(spark: SparkSession, folder: Path) -> None:
    """Columns found by their ids, deletion vectors, and version-2 checkpoints."""
    properties = {
        "delta.columnMapping.mode": "id",
        "delta.enableDeletionVectors": "true",
        "delta.checkpointPolicy": "v2",
        "delta.checkpointInterval": "2",
    }
    columns = "id BIGINT, x DOUBLE, n INT, s STRUCT<a: BIGINT, b: ARRAY<STRUCT<c: STRING>>>"
    spark.sql(f"CREATE TABLE delta.`{folder}` ({columns}) USING delta {with_properties(properties)}")
    more = "CAST(id AS int) AS n", "named_struct('a', id, 'b', array(named_struct('c', concat('t', id)))) AS s"
    numbers(spark, *more).write.format("delta").mode("append").save(str(folder))
    spark.sql(f"ALTER TABLE delta.`{folder}` RENAME COLUMN n TO m")
    spark.sql(f"ALTER TABLE delta.`{folder}` RENAME COLUMN s.a TO z")
    spark.sql(f"DELETE FROM delta.`{folder}` WHERE id % 7 = 0")
    assert list((folder / "_delta_log").glob("*.checkpoint.*-*"))


def widened(spark: SparkSession, folder: Path) -> None:
    """Whole numbers and decimals of every width that Delta widens, in files from before and after."""
    columns = "id BIGINT, x DOUBLE, b TINYINT, n INT, m SMALLINT, d DECIMAL(5, 2), k INT, p INT"
    spark.sql(f"CREATE TABLE delta.`{folder}` ({columns}) USING delta PARTITIONED BY (p) {WIDENING}")
    rows = "id, id / 4, CAST(id % 100 AS TINYINT), -id, id, id / 8, id, id % 2"
    spark.sql(f"INSERT INTO delta.`{folder}` SELECT {rows} FROM range({ROWS})")
    wider = {"b": "INT", "n": "BIGINT", "m": "DOUBLE", "d": "DECIMAL(8, 3)", "k": "DECIMAL(12, 1)", "p": "BIGINT"}
    for column, kind in wider.items():
        spark.sql(f"ALTER TABLE delta.`{folder}` ALTER COLUMN {column} TYPE {kind}")
    more = "-id, id / 4, 100000 + id, id + 9007199254740993, id / 3D, id + 0.125, id + 0.5, 5000000000"
    spark.sql(f"INSERT INTO delta.`{folder}` SELECT {more} FROM range(1, 20)")


def filled_by_delta(spark: SparkSession, folder: Path) -> None:
    """Identity and generated columns."""
    spark.sql(
        f"CREATE TABLE delta.`{folder}` (k BIGINT GENERATED ALWAYS AS IDENTITY, id BIGINT COMMENT 'the id', x DOUBLE, "
        "day DATE GENERATED ALWAYS AS (CAST('2020-01-01' AS DATE))) USING delta"
    )
    spark.sql(f"INSERT INTO delta.`{folder}` (id, x) SELECT id, id / 4 FROM range({ROWS})")


def with_properties(properties: dict[str, str]) -> str:
    listed = ", ".join(f"'{name}' = '{value}'" for name, value in properties.items())
    return f"TBLPROPERTIES ({listed})"


@contextmanager
def small_row_groups(spark: SparkSession) -> Iterator[None]:
    hadoop: Any = spark.sparkContext._jsc.hadoopConfiguration()
    small = {"parquet.block.size": "1024", "parquet.page.size.row.check.min": "10"}
    small["parquet.block.size.row.check.min"] = "10"
    for name, value in small.items():
        hadoop.set(name, value)
    try:
        yield
    finally:
        for name in small:
            hadoop.unset(name)


def cloned(spark: SparkSession, folder: Path) -> None:
    origin = folder.with_name("origin")
    numbers(spark).write.format("delta").save(str(origin))
    spark.sql(f"CREATE TABLE delta.`{folder}` SHALLOW CLONE delta.`{origin}`")


VECTORS = "TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')"
WIDENING = "TBLPROPERTIES ('delta.enableTypeWidening' = 'true')"


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
    "partitions": Case(
        partitioned,
        source={"where": "word > '006' OR number IS NULL"},
        target={"partition_by": ["word", "number"]},
    ),
    "partitions, Delta": Case(partitioned_delta, target={"partition_by": ["word", "number", "day", "even"]}),
    "decimals as partitions": Case(partitioned_delta, target={"partition_by": "price"}, writes="price (decimal(4,2))"),
    "reals and instants as partitions": Case(reals_partitioned),
    "unclear partitions": Case(
        unclear_partitions,
        "only Spark can tell what partition values of moment are as timestamp; "
        "only Spark can tell what partition values of number are as int",
    ),
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
    "Delta, deletion vectors": Case(changed_often()),
    "Delta, deletion vectors, a merge and a condition": Case(
        changed_often(MERGED), source={"where": "n > 700 AND n < 800 OR x < 0"}
    ),
    "Delta, deletion vectors in an older version alone": Case(
        delta_with("DELETE FROM {table} WHERE id % 7 = 0", properties=VECTORS), source={"version": 1}
    ),
    "Delta, columns mapped by name": Case(upgraded, target={"partition_by": "the part", "format": "parquet"}),
    "Delta, columns mapped by id": Case(by_id, source={"where": "m >= 100 AND m < 250"}),
    "Delta, columns that Delta fills": Case(filled_by_delta),
    "Delta, widened": Case(widened),
    "Delta, widened from a float": Case(
        delta_with(
            "ALTER TABLE {table} ADD COLUMN (f FLOAT)",
            "ALTER TABLE {table} ALTER COLUMN f TYPE DOUBLE",
            properties=WIDENING,
        ),
        "widened from float",
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
}


def prepared(
    spark: SparkSession, model: str, source: dict[str, Any], target: dict[str, Any], plane: str
) -> PreparedJob:
    name = target.get("mode", "create")  # a job that has made the table may not append the same rows to it
    document = {"name": name, "model": {"uri": model}, "source": source, "target": target, "plane": plane}
    return prepare_on(spark, JobConfig.model_validate(document))


def rows_of(frame: DataFrame) -> list[tuple[Any, ...]]:
    """The rows in an order of their own, with every value as text: NaN and -0.0 differ from 0.0 there."""
    plain = frame.drop("scored_at")
    return sorted(tuple(repr(value) for value in row) for row in plain.collect())
