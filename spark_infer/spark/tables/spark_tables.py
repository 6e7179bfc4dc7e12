"""What a Spark session knows of tables beyond the files that this process can read."""

from __future__ import annotations

import os
import uuid
from dataclasses import replace

from pyspark.sql import SparkSession

from spark_infer.config import TableConfig
from spark_infer.errors import SourceError
from spark_infer.spark.analysis import parameters
from spark_infer.spark.session_settings import setting
from spark_infer.spark.tables.catalog import SparkCatalog
from spark_infer.spark.tables.delta.checking import check_delta
from spark_infer.spark.tables.delta.merging import refuse_unrecognisable
from spark_infer.spark.tables.delta.reading import delta_frame, delta_refused
from spark_infer.spark.tables.frames import whole_frame
from spark_infer.spark.tables.same_disk import same_disk
from spark_infer.spark.tables.settings import refuse_lossy_settings
from spark_infer.spark.tables.spark_formats import SPARK_FORMATS
from spark_infer.tables.delta.actions import UnreadableLogError
from spark_infer.tables.location import TableLocation
from spark_infer.tables.snapshot import Snapshot

_HOMES: dict[str, str] = {}


class SparkTables:
    """The tables of a session; a `TableLookup`.

    Args:
        spark: The session.
    """

    process = "Spark"

    def __init__(self, spark: SparkSession) -> None:
        self._spark = spark

    @property
    def same_disk(self) -> bool:
        """Whether Spark's driver has the disk of this process."""
        return same_disk(self._spark)

    def check_settings(self) -> None:
        """Refuse a session whose settings can lose or double rows.

        Raises:
            EnvironmentProblem: At least one such setting is on.
        """
        refuse_lossy_settings(self._spark)

    def check_delta(self) -> None:
        """Refuse a session that cannot read Delta tables.

        Raises:
            EnvironmentProblem: Delta's jar, its SQL extension or its catalog is not in this session.
        """
        check_delta(self._spark)

    def check_merge(self, location: TableLocation) -> None:
        """Refuse a session in which a merge into a table could not be recognised afterwards.

        Raises:
            TargetError: The session refuses the settings for that.
        """
        refuse_unrecognisable(self._spark, location)

    def base_uri(self, config: TableConfig, scheme: str) -> str:
        """Return the full URI in which paths without a host start.

        A path without a scheme belongs to Spark's default file system and, where relative, to the folder the JVM was
        started in. Spark is asked for both by way of the path that it reports as missing; for a relative one once for
        each application or server session.
        """
        if scheme:
            return _reported(self._spark, f"{scheme}:///")
        session = str(getattr(self._spark, "session_id", "")) or setting(self._spark, "spark.app.id")
        if not session:
            return _reported(self._spark, "")
        if session not in _HOMES:
            _HOMES[session] = _reported(self._spark, "")
        return _HOMES[session]

    def catalog(self, config: TableConfig) -> SparkCatalog:
        """Return the session's catalog."""
        return SparkCatalog(self._spark)

    def format_at(self, config: TableConfig, uri: str) -> str | None:
        """Return the format of a table on a file system that this process cannot reach; None where there is none."""
        return next((each.name for each in SPARK_FORMATS.values() if each.is_at(self._spark, uri)), None)

    def unlisted_delta(self, location: TableLocation, version: int | None, why: UnreadableLogError | None) -> Snapshot:
        """Describe a Delta table without counts: Spark reads its log, in small jobs of its own.

        Raises:
            SourceError: There is no such version, or Delta cannot read the table.
        """
        spark = self._spark
        try:
            if version is None:
                version = int(spark.sql(f"DESCRIBE HISTORY {location.sql} LIMIT 1").collect()[0]["version"])
            types = {each.name: each.dataType.simpleString() for each in delta_frame(spark, location, version).schema}
            detail = spark.sql(f"DESCRIBE DETAIL {location.sql}").collect()[0]
        except SourceError:
            raise
        except Exception as error:
            raise delta_refused(location, error) from error
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

    def unlisted_parquet(self, location: TableLocation, partition_columns: tuple[str, ...]) -> Snapshot:
        """Describe a Parquet table without counts."""
        spark = self._spark
        frame = spark.table(location.table) if location.table else spark.read.parquet(location.path or "")
        types = {each.name: each.dataType.simpleString() for each in frame.schema}
        return Snapshot(
            location=location,
            version=None,
            partition_columns=partition_columns,
            partition_types=tuple(types[name] for name in partition_columns),
            rows=None,
            files=None,
            size_bytes=None,
        )

    def target_schema(self, newest: Snapshot) -> str:
        """Return Spark's JSON of the columns that Spark reads from a target; from a Delta table, those of now."""
        return whole_frame(self._spark, replace(newest, version=None)).schema.json()


def _reported(spark: SparkSession, folder: str) -> str:
    """The full URI of a folder as Spark itself spells it."""
    name = f"spark-infer-{uuid.uuid4().hex}"
    try:
        # Twice: for a single path Spark also looks for a stream's log, and logs a stack trace that it finds none.
        spark.read.text([folder + name] * 2).schema  # noqa: B018 - Spark Connect looks only when a schema is asked for
    except Exception as error:
        if path := parameters(error).get("path", ""):
            return path.removesuffix(name)
    return f"file://{os.getcwd()}/"
