"""Choose the plane: the workers read the files themselves only where that gives what Spark would have read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from spark_infer.config import JobConfig
from spark_infer.errors import PlanError
from spark_infer.tables.listing import Listing
from spark_infer.tables.parquet import with_footers
from spark_infer.tables.scan.cut import cut, too_large
from spark_infer.tables.scan.doubts import column_doubts, deletion_doubts, footer_doubts
from spark_infer.tables.scan.task import Scan, ScanTask
from spark_infer.tables.settings import setting
from spark_infer.tables.sink.spec import SinkSpec
from spark_infer.tables.snapshot import Snapshot

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_FOOTERS_TO_LOOK_AT = 64
_UNKNOWN_SLOTS = 8
_LEAST_BATCH_ROWS = 8192

_CORRECTED = ("spark.sql.parquet.datetimeRebaseModeInRead", "spark.sql.parquet.int96RebaseModeInRead")
_OTHER_READING = ("spark.sql.parquet.int96TimestampConversion", "spark.sql.legacy.parquet.nanosAsLong")


@dataclass(frozen=True, kw_only=True)
class Plane:
    """Who reads the rows of a job.

    Attributes:
        name: ``direct`` or ``spark``.
        why: The reason, a clause.
        scan: How the workers read; None on the spark plane.
        tasks: What they read; empty on the spark plane.
        sink: What the workers write; None where Spark writes.
        writes_why: Why Spark writes, a clause.
    """

    name: str
    why: str
    scan: Scan | None = None
    tasks: tuple[ScanTask, ...] = ()
    sink: SinkSpec | None = None
    writes_why: str = ""

    def told(self) -> str:
        """Say who reads the source and who writes the target."""
        if self.name == "spark":
            return "spark: Spark reads the source and writes the target"
        writers = "workers read the source and write" if self.sink else "workers read the source, Spark writes"
        return f"direct: {writers} the target"


def choose_plane(
    spark: SparkSession,
    config: JobConfig,
    snapshot: Snapshot,
    *,
    columns: pa.Schema,
    schema: Mapping[str, Any],
    slots: int | None,
    sparkml: bool,
) -> Plane:
    """Decide who reads; reads the footers of a few files, starts no Spark task.

    Args:
        spark: The session.
        config: The job.
        snapshot: The source, pinned.
        columns: The columns that are read, as Spark hands them to Python.
        schema: Spark's JSON of the source's schema.
        slots: How many tasks run at once, where that is known.
        sparkml: Whether Spark itself runs the model.

    Raises:
        PlanError: ``plane: direct`` was asked for and cannot be had.
        SourceError: A file of the source is damaged.
    """
    if config.plane == "spark":
        return Plane(name="spark", why="as asked for")
    found, doubts = _looked_at(snapshot, slots or _UNKNOWN_SLOTS)
    doubts += list(_doubts(spark, config, snapshot, columns, schema, sparkml=sparkml))
    if doubts or found is None:
        if config.plane == "direct":
            raise PlanError(
                "The direct plane was asked for, and only Spark can read these rows as they should be read.",
                details=doubts,
                next_step="set plane: auto, and Spark reads them.",
            )
        return Plane(name="spark", why="; ".join(doubts))
    scan = Scan(
        uri=snapshot.location.path or "",
        schema=columns,
        partitions={name: kind for name, kind in snapshot.types.items() if name in columns.names},
        case_sensitive=setting(spark, "spark.sql.caseSensitive").lower() == "true",
        # Whole model batches, and no fewer rows than Arrow decodes well at once.
        batch_rows=config.score.batch_size * max(1, _LEAST_BATCH_ROWS // config.score.batch_size),
    )
    tasks = cut(found, slots or _UNKNOWN_SLOTS)
    return Plane(name="direct", why="which gives the same rows as Spark", scan=scan, tasks=tuple(tasks))


def _looked_at(snapshot: Snapshot, slots: int) -> tuple[Listing | None, list[str]]:
    """The listing with the footers that planning needs: of large files, and of some of the others."""
    listing, storage = snapshot.listing, snapshot.location.storage()
    if listing is None or storage is None:
        return None, ["only Spark knows the files of the source"]
    doubts = [*listing.doubts, *deletion_doubts(listing)]
    if doubts:  # then nothing need be looked at
        return listing, doubts
    some = [file.path for file in listing.files[:_FOOTERS_TO_LOOK_AT] if file.path not in listing.footers]
    listing = with_footers(storage, listing, list(dict.fromkeys([*too_large(listing, slots), *some])))
    return listing, list(footer_doubts(listing.footers.values()))


def _doubts(
    spark: SparkSession,
    config: JobConfig,
    snapshot: Snapshot,
    columns: pa.Schema,
    schema: Mapping[str, Any],
    *,
    sparkml: bool,
) -> Iterator[str]:
    if sparkml:
        yield "Spark runs the model"
    if config.source.where is not None:
        yield "`where` is SQL, which Spark evaluates"
    if snapshot.location.table and snapshot.location.format == "parquet":
        yield "the catalog may have options for reading the files"
    if snapshot.location.table and not snapshot.location.table.startswith("`spark_catalog`."):
        yield "the catalog may filter rows or mask columns"
    yield from column_doubts(schema, columns.names, snapshot.types)
    times = any("timestamp" in str(field.type) or "date" in str(field.type) for field in columns)
    if times:
        modes = {name: setting(spark, name).upper() for name in _CORRECTED}
        yield from (f"{name} is {mode}" for name, mode in modes.items() if mode not in ("", "CORRECTED"))
    yield from (f"{name} is on" for name in _OTHER_READING if setting(spark, name).lower() == "true")


def without_direct(plane: Plane, why: str) -> Plane:
    """The spark plane in place of a direct one."""
    return replace(plane, name="spark", why=why, scan=None, tasks=(), sink=None)
