"""Choose the plane: the workers read the files themselves only where that gives what Spark would have read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import pyarrow as pa

from spark_infer.config import JobConfig
from spark_infer.errors import PlanError
from spark_infer.tables.formats import source_format_of
from spark_infer.tables.listing import Listing
from spark_infer.tables.parquet.footers import with_footers
from spark_infer.tables.scan.column_mapping import stored_schema
from spark_infer.tables.scan.cut import cut, too_large
from spark_infer.tables.scan.deletions import with_group_deletes
from spark_infer.tables.scan.prune import file_may_hold
from spark_infer.tables.scan.read_eligibility import column_doubts, deletion_doubts, footer_doubts, partition_doubts
from spark_infer.tables.scan.task import Scan, ScanTask
from spark_infer.tables.sink.sink_spec import SinkSpec
from spark_infer.tables.snapshot import Snapshot
from spark_infer.tables.where.sql import OnlySpark, condition
from spark_infer.tables.where.terms import Term, columns_of

Setting = Callable[[str], str]
"""The value of a setting of the session that was set, or an empty text."""

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
        left_out: Files that statistics and partition values show to hold no row of `where`.
    """

    name: str
    why: str
    scan: Scan | None = None
    tasks: tuple[ScanTask, ...] = ()
    sink: SinkSpec | None = None
    writes_why: str = ""
    left_out: int = 0

    def describe(self, *, merges: bool = False) -> str:
        """Say who reads the source and who writes the target.

        Args:
            merges: Whether Spark merges into the target what was written.
        """
        target = "rows for Spark to merge" if merges else "the target"
        if self.name == "spark":
            return f"spark: Spark reads the source and writes {target}"
        writers = "workers read the source and write" if self.sink else "workers read the source, Spark writes"
        return f"direct: {writers} {target}"

    def in_batches_of(self, rows: int, size: int, *, positions: bool = False) -> Plane:
        """Return the same plane, whose workers read whole model batches, and no fewer rows than Arrow decodes well.

        Args:
            rows: The most rows of a model batch.
            size: Its most bytes.
            positions: Whether they say of each row where it stands.
        """
        if self.scan is None:
            return self
        batch_rows = rows * max(1, _LEAST_BATCH_ROWS // rows)
        scan = replace(self.scan, batch_rows=batch_rows, batch_bytes=size, positions=positions)
        return replace(self, scan=scan)


def choose_plane(
    setting: Setting,
    config: JobConfig,
    snapshot: Snapshot,
    *,
    table: pa.Schema,
    columns: Sequence[str],
    schema: pa.Schema,
    slots: int | None,
    sparkml: bool,
    beyond_spark: bool = False,
) -> Plane:
    """Decide who reads; reads the footers of a few files, starts no Spark task.

    Args:
        setting: Asks for a setting of the session.
        config: The job.
        snapshot: The source, pinned.
        table: All columns of the source, as workers get them.
        columns: Those that are to be handed on.
        schema: The same, as Spark has them.
        slots: How many tasks run at once, where that is known.
        sparkml: Whether Spark itself runs the model.
        beyond_spark: Whether types that Spark refuses are read as far as they can be cast exactly.

    Raises:
        PlanError: ``plane: direct`` was asked for and cannot be had.
        SourceError: A file of the source is damaged.
    """
    if config.plane == "spark":
        return Plane(name="spark", why="as asked for")
    wanted, doubts = _condition(setting, config.source.condition, table)
    read = pa.schema([table.field(name) for name in dict.fromkeys([*columns, *(columns_of(wanted) if wanted else ())])])
    doubts += list(_doubts(setting, snapshot, read, schema, sparkml=sparkml))
    stored = _stored(snapshot, read)
    inside = snapshot.listing if wanted is None else _may_hold(snapshot, wanted, read, stored)
    scan = Scan(
        uri=snapshot.location.path or "",
        schema=pa.schema(list(read)[: len(columns)]),
        partitions={name: kind for name, kind in snapshot.types.items() if name in read.names},
        case_sensitive=_is_on(setting, "spark.sql.caseSensitive"),
        condition=wanted,
        asked=pa.schema(list(read)[len(columns) :]),
        stored=stored,
        beyond_spark=beyond_spark,
        reader=source_format_of(snapshot.location.format).reader,
    )
    found, more = _looked_at(snapshot, inside, scan, slots or _UNKNOWN_SLOTS, config.units.bytes)
    doubts += more
    if doubts or found is None:
        _refuse_spark(config, scan, doubts)
        return Plane(name="spark", why="; ".join(doubts))
    return Plane(
        name="direct",
        why="which gives the same rows as Spark",
        scan=scan,
        tasks=tuple(cut(found, slots or _UNKNOWN_SLOTS, config.units.bytes)),
        left_out=(snapshot.files or 0) - len(found.files),
    )


def _refuse_spark(config: JobConfig, scan: Scan, doubts: Sequence[str]) -> None:
    if scan.is_whole_files:
        raise PlanError(
            f"Workers read the files of {scan.uri.removeprefix('file://')} themselves, and that cannot be done here.",
            details=doubts,
            next_step="write `where` as comparisons with literals, and use a model that Python workers run.",
        )
    if config.plane == "direct":
        raise PlanError(
            "The direct plane was asked for, and only Spark can read these rows as they should be read.",
            details=doubts,
            next_step="set plane: auto, and Spark reads them.",
        )


def _condition(setting: Setting, where: str | None, table: pa.Schema) -> tuple[Term | None, list[str]]:
    """The condition on the rows, or why only Spark can evaluate it."""
    if where is None:
        return None, []
    by_case = _is_on(setting, "spark.sql.caseSensitive")
    quoted = _is_on(setting, "spark.sql.ansi.doubleQuotedIdentifiers")
    try:
        return condition(where, table, case_sensitive=by_case, double_quoted_names=quoted), []
    except OnlySpark as error:
        return None, [f"only Spark can evaluate `where`: {error}"]


def _stored(snapshot: Snapshot, read: pa.Schema) -> pa.Schema | None:
    """The columns as a Delta table that maps its columns has them in its files."""
    if snapshot.column_mapping == "none" or snapshot.declared is None:
        return None
    return stored_schema(snapshot.declared, read, snapshot.column_mapping)


def _may_hold(snapshot: Snapshot, wanted: Term, read: pa.Schema, stored: pa.Schema | None) -> Listing | None:
    """The files that may hold rows of a condition."""
    if snapshot.listing is None:
        return None
    names = {} if stored is None else dict(zip(read.names, stored.names, strict=True))
    may_hold = partial(file_may_hold, condition=wanted, schema=read, partitions=snapshot.types, stored=names)
    return snapshot.listing.where(may_hold)


def _looked_at(
    snapshot: Snapshot, listing: Listing | None, scan: Scan, slots: int, most: int | None
) -> tuple[Listing | None, list[str]]:
    """The listing with the footers that planning needs: of large files, and of some of the others."""
    storage = snapshot.location.storage()
    if listing is None or (storage is None and listing.files):
        return None, ["only Spark knows the files of the source"]
    doubts = [*listing.doubts, *deletion_doubts(listing)]
    if doubts or scan.is_whole_files or storage is None:  # then nothing need be looked at
        return listing, doubts
    some = [file.path for file in listing.files[:_FOOTERS_TO_LOOK_AT] if file.path not in listing.footers]
    large = too_large(listing, slots, most)
    listing = with_footers(storage, listing, list(dict.fromkeys([*large, *some])))
    listing = with_group_deletes(storage, listing, large)
    footers = [listing.footers[file.path] for file in listing.files if file.path in listing.footers]
    return listing, list(footer_doubts(footers, scan))


def _doubts(
    setting: Setting,
    snapshot: Snapshot,
    columns: pa.Schema,
    schema: pa.Schema,
    *,
    sparkml: bool,
) -> Iterator[str]:
    if sparkml:
        yield "Spark runs the model"
    if snapshot.location.table and source_format_of(snapshot.location.format).catalog_decides:
        yield "the catalog may have options for reading the files"
    if snapshot.location.table and not snapshot.location.table.startswith("`spark_catalog`."):
        yield "the catalog may filter rows or mask columns"
    yield from column_doubts(schema, columns.names)
    partitions = {name: kind for name, kind in snapshot.types.items() if name in columns.names}
    yield from partition_doubts(snapshot.listing.files if snapshot.listing else (), partitions)
    times = any("timestamp" in str(field.type) or "date" in str(field.type) for field in columns)
    if times:
        modes = {name: setting(name).upper() for name in _CORRECTED}
        yield from (f"{name} is {mode}" for name, mode in modes.items() if mode not in ("", "CORRECTED"))
    yield from (f"{name} is on" for name in _OTHER_READING if _is_on(setting, name))


def _is_on(setting: Setting, name: str) -> bool:
    return setting(name).lower() == "true"


def without_direct(plane: Plane, why: str) -> Plane:
    """The spark plane in place of a direct one."""
    return replace(plane, name="spark", why=why, scan=None, tasks=(), sink=None)
