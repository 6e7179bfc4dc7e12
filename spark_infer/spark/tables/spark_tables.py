"""What a Spark session knows of tables beyond the files that this process can read."""

from __future__ import annotations

import os
import uuid
from dataclasses import replace

import pyarrow as pa
from pyspark.sql import SparkSession

from spark_infer.config import TableConfig
from spark_infer.errors import EnvironmentProblem, SourceError
from spark_infer.spark.analysis import parameters
from spark_infer.spark.schema import to_arrow
from spark_infer.spark.server import is_connect
from spark_infer.spark.session_settings import setting
from spark_infer.spark.tables.catalog import SparkCatalog
from spark_infer.spark.tables.frames import whole_frame
from spark_infer.spark.tables.same_disk import same_disk
from spark_infer.spark.tables.spark_formats import SPARK_FORMATS, spark_format_of, spark_source_of
from spark_infer.spark.versions import HAS_CONDITIONS_ON_CONNECT
from spark_infer.tables.location import TableLocation
from spark_infer.tables.schema import schema_of
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

    def check_format(self, name: str) -> None:
        """Refuse a session that cannot read tables of a format.

        Raises:
            EnvironmentProblem: Something that they need is not in this session.
        """
        if is_connect(self._spark) and not HAS_CONDITIONS_ON_CONNECT:
            raise EnvironmentProblem(
                "With Spark 3.5, a Spark Connect session does not say enough of tables to score one.",
                next_step="use a classic session, or Spark 4; `score` and `model_udf` work on this one.",
            )
        spark_source_of(name).check(self._spark)

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

    def describe(
        self,
        location: TableLocation,
        *,
        version: int | None = None,
        partition_columns: tuple[str, ...] = (),
        refusal: SourceError,
    ) -> Snapshot:
        """Have Spark describe a table, without counts.

        Raises:
            SourceError: There is no such version, or Spark cannot read the table.
        """
        return spark_format_of(location.format).describe(self._spark, location, version, partition_columns)

    def target_schema(self, newest: Snapshot) -> pa.Schema:
        """Return the columns that the log of a target declares, else those that Spark reads from it now."""
        if newest.is_declared:  # Spark takes seconds for its first look at a Delta table
            return schema_of(newest)
        return to_arrow(whole_frame(self._spark, replace(newest, version=None)).schema)


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
