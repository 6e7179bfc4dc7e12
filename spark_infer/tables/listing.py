"""The files of a snapshot: what a reader needs to read them without Spark."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import pyarrow as pa

from spark_infer.tables.delta.deletion_vector import DeletionVector
from spark_infer.tables.scan.parquet_schema import Node


@dataclass(frozen=True)
class SourceFile:
    """A data file of a snapshot.

    Attributes:
        path: Below the table's folder, as the file system spells it; a full URI where it lies elsewhere.
        size: Its bytes.
        values: Partition column to its value, as it is written; None is null.
        rows: Its rows that are not deleted, where the log or the footer tells.
        modified_ns: When it was written, where the listing tells; a file that is written again is another one.
        vector: Which of its rows are deleted; None where none is.
        group_deletes: How many rows of each row group are deleted, where that was looked up.
        statistics: What Delta's log says of its columns, as JSON; empty where it says nothing.
        picked: The rows of it that are read, ascending; None for all that are not deleted.
    """

    path: str
    size: int
    values: Mapping[str, str | None] = field(default_factory=dict)
    rows: int | None = None
    modified_ns: int | None = None
    vector: DeletionVector | None = None
    group_deletes: tuple[int, ...] | None = None
    statistics: str = field(default="", repr=False)
    picked: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Footer:
    """What a Parquet file says about itself.

    Attributes:
        rows: The rows of its row groups; None where only Spark can read the footer.
        columns: Names and types of its columns, in one text.
        metadata: Its key-value metadata.
        group_rows: The rows of each row group.
        doubt: Why only Spark can read the file; empty where workers can.
        schema: Its columns, as pyarrow reads them; None where it cannot.
        nodes: Its columns, as the file has them; empty where they cannot be read.
        doubts: Column to why Spark may read other values from it than pyarrow does.
    """

    rows: int | None
    columns: str
    metadata: Mapping[bytes, bytes]
    group_rows: tuple[int, ...] = ()
    doubt: str = ""
    schema: pa.Schema | None = field(default=None, repr=False)
    nodes: tuple[Node, ...] = field(default=(), repr=False)
    doubts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Listing:
    """The files that a run reads.

    Attributes:
        files: The files inside the partitions asked for.
        footers: Path to footer, of the files whose footers were read.
        doubts: Why the rows may be others than those in the files, a clause each; empty where they are the same.
    """

    files: tuple[SourceFile, ...]
    footers: Mapping[str, Footer] = field(default_factory=dict)
    doubts: tuple[str, ...] = ()

    def within(self, holds: Callable[[Mapping[str, str | None]], bool]) -> Listing:
        """Keep the files whose partition values meet a condition."""
        return replace(self, files=tuple(file for file in self.files if holds(file.values)))

    def where(self, may_hold: Callable[[SourceFile], bool]) -> Listing:
        """Keep the files that may hold rows of a condition."""
        return replace(self, files=tuple(file for file in self.files if may_hold(file)))

    def looked_at(self, footers: Mapping[str, Footer]) -> Listing:
        """Add footers, by path, and the rows that they tell."""
        counts = {path: footer.rows for path, footer in footers.items()}
        files = tuple(
            replace(file, rows=rows - (file.vector.rows if file.vector else 0))
            if file.rows is None and (rows := counts.get(file.path)) is not None
            else file
            for file in self.files
        )
        return Listing(files, {**self.footers, **footers}, self.doubts)

    @property
    def rows(self) -> int | None:
        """Rows of all files; None where one of them does not tell."""
        counts = [file.rows for file in self.files]
        return None if None in counts else sum(filter(None, counts))

    @property
    def schemas(self) -> list[tuple[Node, ...]]:
        """The columns of the files whose footers were read, each set of columns once."""
        return list({id(footer.nodes): footer.nodes for footer in self.footers.values()}.values())

    @property
    def size_bytes(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)
