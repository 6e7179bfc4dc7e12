"""The state of a source that one run reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from spark_infer.tables.bookmark import Bookmark
from spark_infer.tables.listing import Listing, SourceFile
from spark_infer.tables.location import TableLocation


@dataclass(frozen=True)
class Snapshot:
    """A source at one moment: what is read, and how much of it there is.

    The counts are those of the table partitions that `partition_filter` leaves, before `where`. None means that
    finding out would have cost a Spark job or thousands of reads.

    Attributes:
        location: The table.
        version: The Delta version that the whole run reads; None for Parquet.
        partition_columns: The columns that the table is partitioned by.
        rows: Rows to read.
        files: Files to read.
        size_bytes: Bytes of these files.
        partition_types: The partition columns' types, in the same order.
        declared: The columns that Delta's log declares, or the data columns that Spark wrote into Parquet files; None
            where the files' own types decide.
        mixed_schemas: Whether the Parquet files do not all have the same columns.
        listing: The files to read; None where only Spark knows them.
        column_mapping: How the columns of a Delta table are found in its files: ``none``, ``name`` or ``id``.
        refused: Of Parquet files: column to its type in the files, for the columns whose types Spark refuses.
        is_newest: Whether the table has nothing newer, as far as this process can see.
        table_id: Of a Delta table: its own name for itself, which one that is made again in its place does not have.
        since: The files are those with rows that came after it; None where they are all.
        listed: All files, where the listing has only those with rows whose keys a target lacks; else None.
        note: What the reader of plan and report should know, a sentence; empty for nothing.
        is_picked: Whether the listing has single rows of its files alone.
        kept_if_named: Columns that go into a target only where `keep` names them.
        by_feed: Whether only the change data feed of a Delta table says which rows these are, which Spark reads.
    """

    location: TableLocation
    version: int | None
    partition_columns: tuple[str, ...]
    rows: int | None
    files: int | None
    size_bytes: int | None
    partition_types: tuple[str, ...] = ()
    declared: pa.Schema | None = field(default=None, repr=False)
    mixed_schemas: bool = False
    listing: Listing | None = field(default=None, repr=False)
    column_mapping: str = "none"
    refused: Mapping[str, str] = field(default_factory=dict, repr=False)
    table_id: str = ""
    since: Bookmark | None = field(default=None, repr=False)
    is_picked: bool = False
    listed: tuple[SourceFile, ...] | None = field(default=None, repr=False)
    note: str = ""
    by_feed: bool = False
    is_newest: bool = True
    kept_if_named: tuple[str, ...] = ()

    @property
    def is_declared(self) -> bool:
        """Whether a log says what the columns are, and no catalog has a say in it."""
        return self.declared is not None and self.version is not None and self.location.table is None

    @property
    def every_file(self) -> tuple[SourceFile, ...] | None:
        """The files that were looked at; None where only Spark knows them."""
        return self.listed if self.listed is not None or self.listing is None else self.listing.files

    @property
    def nothing_new(self) -> bool:
        """Whether no row is new since the bookmark of a target, or none of its files was picked."""
        narrowed = self.since is not None or self.is_picked
        return narrowed and self.listing is not None and not self.listing.files

    @property
    def types(self) -> dict[str, str]:
        """Partition column to its type."""
        return dict(zip(self.partition_columns, self.partition_types, strict=True))
