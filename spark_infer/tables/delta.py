"""Delta tables: the session they need, the version a run reads, and the commit a run makes."""

from __future__ import annotations

import json
from importlib import metadata
from typing import TYPE_CHECKING

from spark_infer.core.session_settings import setting
from spark_infer.errors import EnvironmentProblem, SourceError
from spark_infer.tables.analysis import condition, first_line, parameters
from spark_infer.tables.delta_actions import UnreadableLogError
from spark_infer.tables.delta_log import list_log, read_log, replay_log
from spark_infer.tables.listing import Listing
from spark_infer.tables.location import TableLocation
from spark_infer.tables.scan.doubts import delta_doubts
from spark_infer.tables.snapshot import Snapshot

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_EXTENSION = "io.delta.sql.DeltaSparkSessionExtension"
_CATALOG = "org.apache.spark.sql.delta.catalog.DeltaCatalog"
_PROBE = "DESCRIBE DETAIL delta.`/spark-infer-asks-whether-this-session-speaks-delta`"


def delta_conf() -> dict[str, str]:
    """The Spark settings that Delta needs, for the installed versions of PySpark and delta-spark.

    Raises:
        EnvironmentProblem: One of the two is not installed.
    """
    try:
        spark, delta = metadata.version("pyspark"), metadata.version("delta-spark")
    except metadata.PackageNotFoundError as error:
        raise EnvironmentProblem(
            f"The Python package {error.name} is not installed, and Delta tables need it.",
            next_step="pip install 'spark-infer[delta]'",
        ) from error
    return {
        "spark.jars.packages": f"io.delta:{_artefact(spark, delta)}:{delta}",
        "spark.sql.extensions": _EXTENSION,
        "spark.sql.catalog.spark_catalog": _CATALOG,
    }


def _artefact(spark: str, delta: str) -> str:
    """Name of Delta's jar; since Delta 4.1 it says which Spark it was built for."""
    built_for = "_" + ".".join(spark.split(".")[:2]) if _numbers(delta) >= (4, 1) else ""
    return f"delta-spark{built_for}_2.13"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2])


def check_delta(spark: SparkSession) -> None:
    """Refuse a session that cannot read Delta tables, and say which setting is missing.

    Raises:
        EnvironmentProblem: Delta's jar, its SQL extension or its catalog is not in this session.
    """
    try:
        spark.sql(_PROBE).collect()
    except Exception as error:  # PySpark's exceptions cannot be named here
        found = condition(error)
        if found.startswith(("DELTA_MISSING", "DELTA_TABLE_NOT_FOUND", "DELTA_PATH", "PATH_NOT_FOUND")):
            return
        needed = delta_conf()
        missing = [
            f"{name}={value}"
            for name, value in needed.items()
            if value not in setting(spark, name).split(",") and name != "spark.jars.packages"
        ]
        jar = f"spark.jars.packages={needed['spark.jars.packages']} (the jar, when the session starts)"
        raise EnvironmentProblem(
            "This Spark session cannot read Delta tables.",
            details=["A session needs, from its start:", *(missing or [first_line(error)]), jar],
            next_step="start the session with these settings, which `spark_infer.tables.delta.delta_conf()` returns; "
            "or use spark-submit with --packages.",
        ) from error


def snapshot(spark: SparkSession | None, location: TableLocation, version: int | None) -> Snapshot:
    """Pin the version of a Delta table and describe it; its files come with it where its log is readable here.

    Args:
        spark: The session; asked only where this process cannot read the log, or not cheaply. None where there is none.
        location: The table.
        version: The version asked for; None for the newest.

    Raises:
        SourceError: There is no such version.
    """
    storage = location.storage()
    log = list_log(storage) if storage else None
    if storage is None or log is None:
        return _described(spark, location, version)
    pinned = log.newest if version is None else version
    try:
        state = replay_log(storage, log, pinned)
    except UnreadableLogError as error:
        if read_log(storage, log, log.newest):
            raise _no_such_version(location, pinned, log.oldest, log.newest) from error
        if spark is None:
            raise _unreadable(location, error) from error
        return _described(spark, location, version)
    listing = Listing(state.files, doubts=delta_doubts(state))
    return Snapshot(
        location=location,
        version=pinned,
        partition_columns=state.partition_columns,
        partition_types=state.partition_types,
        rows=listing.rows,
        files=len(listing.files),
        size_bytes=listing.size_bytes,
        schema_json=json.dumps(state.schema),
        listing=listing,
        column_mapping=state.column_mapping,
        table_id=state.table_id,
    )


def _described(spark: SparkSession | None, location: TableLocation, version: int | None) -> Snapshot:
    """The same from Spark, which reads the log in small jobs of its own; without counts."""
    if spark is None:
        raise SourceError(
            f"This process cannot reach the log of {location.name}, and engine `local` runs without Spark.",
            next_step="set engine: spark.",
        )
    try:
        if version is None:
            version = int(spark.sql(f"DESCRIBE HISTORY {location.sql} LIMIT 1").collect()[0]["version"])
        types = {each.name: each.dataType.simpleString() for each in pinned_frame(spark, location, version).schema}
        detail = spark.sql(f"DESCRIBE DETAIL {location.sql}").collect()[0]
    except SourceError:
        raise
    except Exception as error:  # PySpark's exceptions cannot be named here
        raise _refused(location, error) from error
    columns = tuple(detail["partitionColumns"])
    return Snapshot(
        location=location,
        version=version,
        partition_columns=columns,
        partition_types=tuple(types.get(name, "string") for name in columns),
        rows=None,
        files=None,
        size_bytes=None,
        table_id=str(detail["id"] or ""),
    )


def pinned_frame(spark: SparkSession, location: TableLocation, version: int | None) -> DataFrame:
    """A Delta table as of a version (None: as it is) as a DataFrame.

    Raises:
        SourceError: There is no such version, or Delta cannot read the table.
    """
    reader = spark.read.format("delta")
    if version is not None:
        reader = reader.option("versionAsOf", version)
    try:
        found = reader.table(location.table) if location.table else reader.load(location.path)
        found.schema  # noqa: B018 - Spark Connect looks only when the schema is asked for
    except Exception as error:  # PySpark's exceptions cannot be named here
        if condition(error) == "DELTA_VERSION_NOT_FOUND":
            facts = parameters(error)
            raise _no_such_version(location, version, facts.get("earliest"), facts.get("latest")) from error
        raise _refused(location, error) from error
    return found


def _refused(location: TableLocation, error: Exception) -> SourceError:
    return SourceError(
        f"Delta cannot read {location.name}: {first_line(error)}",
        next_step="restore the table, or name another version of it or another table.",
    )


def _unreadable(location: TableLocation, error: UnreadableLogError) -> SourceError:
    if error.for_spark:
        return SourceError(
            f"Only Spark can read the log of {location.name}, and engine `local` runs without it: {error}.",
            next_step="set engine: spark.",
        )
    return SourceError(
        f"The log of {location.name} is damaged: {error}.",
        next_step="restore the files in its folder _delta_log, or name another version of it or another table.",
    )


def _no_such_version(
    location: TableLocation, version: int | None, oldest: int | str | None, newest: int | str | None
) -> SourceError:
    return SourceError(
        f"{location.name} has no version {version}.",
        details=[f"It has the versions {oldest} to {newest}."],
        next_step="name one of them, or leave `version` out to read the newest.",
    )
