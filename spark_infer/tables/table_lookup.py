"""What an engine knows of tables beyond the files that this process can read.

Engine `local` knows nothing more (`local_tables.LocalTables`); Spark also knows a catalog, its own paths and file
systems (`spark.tables.spark_tables.SparkTables`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa

from spark_infer.config import TableConfig

if TYPE_CHECKING:
    from spark_infer.errors import SourceError
    from spark_infer.tables.location import TableLocation
    from spark_infer.tables.snapshot import Snapshot


@dataclass(frozen=True)
class CatalogEntry:
    """A table of the catalog.

    Attributes:
        name: The quoted full name, for SQL.
        kind: ``MANAGED``, ``EXTERNAL``, ``VIEW``, …; ``""`` for a temporary view.
        provider: ``delta``, ``parquet``, …; ``""`` for a view.
        location: Where its files are, as Spark's full URI; ``""`` for a view.
        partition_columns: The columns it is partitioned by.
        buckets: Whether its files are bucketed.
    """

    name: str
    kind: str
    provider: str
    location: str
    partition_columns: tuple[str, ...]
    buckets: bool


class Catalog(Protocol):
    """The tables that an engine knows by name."""

    def describe(self, table: str) -> CatalogEntry | None:
        """Describe a table; None where there is no such table.

        Raises:
            ValueError: ``table`` is not a table name.
        """

    def near_tables(self, table: str) -> str:
        """Name the tables beside a missing one that are spelled most like it, as the end of a sentence."""

    def default_location(self, table: str) -> str:
        """Return where a new table would be; ``""`` where that cannot be known."""


class TableLookup(Protocol):
    """What an engine knows of tables beyond the files that this process can read.

    A method that needs more than the engine has raises the error for that side of the job.
    """

    @property
    def process(self) -> str:
        """The process that resolves relative paths, as an error names it."""

    @property
    def same_disk(self) -> bool:
        """Whether a `file:` path is the same folder to the engine as to this process."""

    def check_format(self, name: str) -> None:
        """Refuse an engine that cannot read tables of a format.

        Raises:
            EnvironmentProblem: Something that they need is missing.
        """

    def base_uri(self, config: TableConfig, scheme: str) -> str:
        """Return the full URI in which paths without a host start.

        Args:
            config: The side of the job that has the path.
            scheme: Its scheme; ``""`` for a path without one, which may be relative.
        """

    def catalog(self, config: TableConfig) -> Catalog:
        """Return the catalog that a side of the job names a table of."""

    def format_at(self, config: TableConfig, uri: str) -> str | None:
        """Return the format of a table on a file system that this process cannot reach; None where there is none."""

    def describe(
        self,
        location: TableLocation,
        *,
        version: int | None = None,
        partition_columns: tuple[str, ...] = (),
        refusal: SourceError,
    ) -> Snapshot:
        """Describe a table that this process cannot reach, or whose log it cannot read; without counts.

        Args:
            location: The table.
            version: The version asked for; None for the newest.
            partition_columns: The columns that the catalog says it is partitioned by.
            refusal: What to raise where the engine knows no more than this process.

        Raises:
            SourceError: There is no such version, or the engine cannot read the table either.
        """

    def target_schema(self, newest: Snapshot) -> pa.Schema:
        """Return the columns of a target, which is described by its newest state."""
