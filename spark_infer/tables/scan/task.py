"""What travels to whoever reads: which files, which row groups of them, and what becomes of their columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from spark_infer.tables.delta.deletion_vector import DeletionVector
from spark_infer.tables.scan.positions import POSITION
from spark_infer.tables.where.terms import Term


@dataclass(frozen=True)
class Piece:
    """A file, or some row groups of one.

    Attributes:
        path: Below the table's folder.
        size: Bytes that the file had when the run was planned.
        values: Partition column to its value, as it is written.
        groups: The row groups to read; None reads all.
        rows: Rows to read, where that is known.
        weight: About how many bytes are read.
        modified_ns: When the file had been written, where that is known.
        vector: Which rows of the file are deleted; None where none is.
        picked: The rows of the file to read, ascending; None for all that are not deleted.
    """

    path: str
    size: int
    values: Mapping[str, str | None] = field(default_factory=dict)
    groups: tuple[int, ...] | None = None
    rows: int | None = None
    weight: int = 0
    modified_ns: int | None = None
    vector: DeletionVector | None = None
    picked: tuple[int, ...] | None = None


@dataclass(frozen=True)
class ScanTask:
    """What one task reads, in this order."""

    number: int
    pieces: tuple[Piece, ...]

    @property
    def weight(self) -> int:
        """About how many bytes it reads."""
        return sum(piece.weight for piece in self.pieces)


def spread_tasks(tasks: Sequence[ScanTask], most: int) -> list[ScanTask]:
    """Choose about ``most`` tasks from all over a table, the largest among them; the smallest come first.

    So whoever reads some rows of each can read more of the later ones where the first have too few.
    """
    wanted = min(most, len(tasks))
    spread = [tasks[number * len(tasks) // wanted] for number in range(wanted)]
    largest = max(tasks, key=lambda task: task.weight, default=None)
    if largest is not None and largest not in spread:
        spread.append(largest)
    return sorted(spread, key=lambda task: task.weight)


@dataclass(frozen=True, kw_only=True)
class Scan:
    """How the files of a table become record batches; the same for every task.

    Attributes:
        uri: The table's folder, as Spark names it.
        schema: The columns to read, with the types that Spark would hand to Python.
        partitions: Those of them whose values are not in the files but in the listing, and their Spark types.
        case_sensitive: Whether two names that differ in case are two columns.
        batch_rows: Most rows of a record batch.
        batch_bytes: About how many bytes it may have.
        condition: Which rows are wanted; None for all.
        asked: Columns that the condition alone looks at.
        stored: All of these columns with the names that they have in the files, and with the ids by which they are
            found there (see `mapping`); None where the names are the same.
        beyond_spark: Whether types that Spark refuses are read as far as they can be cast exactly.
        positions: Whether to say of each row where it stands (`positions.POSITION`).
        reader: What the files are: ``parquet``, or ``files``, each of them one row.
    """

    uri: str
    schema: pa.Schema
    partitions: Mapping[str, str] = field(default_factory=dict)
    case_sensitive: bool = False
    batch_rows: int = 10_000
    batch_bytes: int = 64 * 2**20
    condition: Term | None = None
    asked: pa.Schema = field(default_factory=lambda: pa.schema([]))
    stored: pa.Schema | None = None
    beyond_spark: bool = False
    positions: bool = False
    reader: str = "parquet"

    @property
    def is_whole_files(self) -> bool:
        """Whether each file is one row, which has no footer and which Spark does not read."""
        return self.reader == "files"

    @property
    def handed_on(self) -> list[str]:
        """The names of the columns that readers hand on."""
        return [*self.schema.names, *(POSITION if self.positions else ())]

    @property
    def looked_at(self) -> pa.Schema:
        """All columns that are read from the files: those to hand on, then those of the condition alone."""
        return pa.schema([*self.schema, *self.asked])

    @property
    def from_files(self) -> list[tuple[pa.Field, pa.Field]]:
        """Those of them whose values are in the files, each beside itself as the files have it."""
        pairs = zip(self.looked_at, self.stored or self.looked_at, strict=True)
        return [(column, stored) for column, stored in pairs if column.name not in self.partitions]
