"""What a write is going to do, and what it did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from spark_infer.config.write_modes import CREATE, WriteMode
from spark_infer.tables.location import TableLocation
from spark_infer.tables.predicate import PartitionScope


@dataclass(frozen=True)
class WritePlan:
    """A write that was checked; nothing has changed yet.

    Attributes:
        location: The target, also where it does not exist yet.
        mode: The write mode asked for.
        exists: Whether there is a table now.
        partition_by: The columns that the target is or will be partitioned by.
        scope: The table partitions that may be replaced; None outside ``overwrite_partitions``.
        how: One sentence for the reader of the plan.
        target_file_bytes: The wished-for size of a file; None to write one file a task.
        new_schema: Whether an overwrite changes the columns or the partitioning of a Delta table.
        partition_types: The types of ``partition_by``.
        keys: The columns to merge by; empty for the other modes.
        filled: Columns of a Delta table that the rows do not bring: null there, or filled by Delta itself.
        later_texts: Text columns of staged rows that the table they are merged into is partitioned by.
        at_once: Whether no row is seen before all are scored, although units could be seen as they are done.
        properties: Table properties of a new table of the catalog.
        comments: Columns of a new table of the catalog that scoring makes, and what they hold.
    """

    location: TableLocation
    mode: WriteMode
    exists: bool
    partition_by: tuple[str, ...]
    scope: PartitionScope | None
    how: str
    target_file_bytes: int | None = None
    new_schema: bool = False
    partition_types: tuple[str, ...] = field(default=(), repr=False)
    keys: tuple[str, ...] = ()
    filled: tuple[str, ...] = ()
    later_texts: tuple[str, ...] = ()
    at_once: bool = False
    properties: Mapping[str, str] = field(default_factory=dict)
    comments: Mapping[str, str] = field(default_factory=dict)

    @property
    def texts(self) -> tuple[str, ...]:
        """Text columns whose values become partitions, now or later: some texts would be stored as null there."""
        kinds = zip(self.partition_by, self.partition_types, strict=True)
        return (*(name for name, kind in kinds if kind == "string"), *self.later_texts)

    @property
    def merges(self) -> bool:
        """Whether rows are merged into a table that is there."""
        return self.mode.merges and self.exists

    def as_staged(self) -> WritePlan:
        """What is written before a merge: plain Parquet files that no reader sees."""
        location = replace(self.location, format="parquet", table=None)
        plain = replace(self, location=location, mode=CREATE, exists=False, keys=())
        return replace(plain, partition_by=(), partition_types=(), scope=None, later_texts=self.texts)

    @property
    def one_by_one(self) -> bool:
        """Whether units are seen as they are done: only where they are added to what is there."""
        return self.adds_to_table and not self.at_once

    @property
    def adds_to_table(self) -> bool:
        """Whether rows are added to a table that is there."""
        return self.mode.adds_only and self.exists

    @property
    def creates(self) -> bool:
        """Whether the write makes the table."""
        return not self.exists

    @property
    def made_by_catalog(self) -> bool:
        """Whether the catalog makes the table and chooses its folder, in one action of Spark's that writes all rows."""
        return self.creates and self.location.table is not None and not self.location.external

    @property
    def is_registered_last(self) -> bool:
        """Whether a folder is made that the catalog is to know by a name, once it has all rows."""
        return self.creates and self.location.table is not None and self.location.external

    @property
    def joins(self) -> bool:
        """Whether the write goes on in a table that another run makes meanwhile, as two days of a new job do."""
        return self.mode.adds_only or self.mode.replaces_partitions


@dataclass(frozen=True)
class Written:
    """What a write left behind, counted from what was committed.

    Attributes:
        location: The target.
        version: The Delta version that this write made; None for Parquet, and where Delta had nothing to commit.
        rows: Rows in the files that this write added.
        files: Files that this write added.
        size_bytes: Bytes of these files.
        notes: What the reader of a report should know, one sentence each.
        quarantined: Rows that went to the table of quarantined rows instead.
    """

    location: TableLocation
    version: int | None
    rows: int
    files: int
    size_bytes: int
    notes: tuple[str, ...] = ()
    quarantined: int = 0
