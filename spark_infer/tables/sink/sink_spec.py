"""What is to be written, as plain values that travel to whoever writes, and what comes back."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from spark_infer.tables.aggregate.measures import Measure
from spark_infer.tables.predicate import PartitionScope
from spark_infer.tables.spark_json import to_json

ROW_GROUP_BYTES = 64 * 2**20
MOST_FILE_BYTES = 512 * 2**20


@dataclass(frozen=True, kw_only=True)
class SinkSpec:
    """How scored rows become files; the same for every task.

    Attributes:
        uri: The folder to write into, as Spark names it; "" until it is known.
        run_id: Unique name of the run; part of every file's name.
        schema: All columns of the target, in order.
        constants: Columns of the schema with one value in all rows.
        partition_by: The columns that become folders.
        scope: The table partitions that rows may belong to; None admits all.
        later_texts: Text columns that become partitions when the rows are merged.
        codec: The compression, as Parquet names it.
        metadata: Key-value metadata of every file.
        row_group_bytes: Bytes in memory of a row group.
        most_file_bytes: Bytes after which a file is closed and the next one begun.
        units: The unit of each task, by the task's number.
        quarantine: What becomes of rows that the model fails for; None where there are none.
        parts: What is summarised of the rows; None for nothing.
        cache: Which predictions are looked up, and how new ones are kept; None without a prediction cache.
    """

    uri: str = ""
    run_id: str
    schema: pa.Schema
    constants: Mapping[str, Any] = field(default_factory=dict)
    partition_by: tuple[str, ...] = ()
    scope: PartitionScope | None = None
    later_texts: tuple[str, ...] = ()
    codec: str = "snappy"
    metadata: Mapping[str, str] = field(default_factory=dict)
    row_group_bytes: int = ROW_GROUP_BYTES
    most_file_bytes: int = MOST_FILE_BYTES
    units: tuple[int, ...] = ()
    quarantine: QuarantineSpec | None = None
    parts: PartSpec | None = None
    cache: CacheSpec | None = None

    def into(self, uri: str) -> SinkSpec:
        """Return the same for a folder."""
        return replace(self._with_others(lambda sink: sink.into(uri)), uri=uri)

    def by(self, session: str) -> SinkSpec:
        """Return the same for one command, whose name becomes a part of the files' names."""
        return replace(self._with_others(lambda sink: sink.by(session)), run_id=f"{self.run_id}-{session}")

    def _with_others(self, change: Callable[[SinkSpec], SinkSpec]) -> SinkSpec:
        aside, parts, cache = self.quarantine, self.parts, self.cache
        return replace(
            self,
            quarantine=aside and replace(aside, sink=change(aside.sink)),
            parts=parts and replace(parts, sink=change(parts.sink)),
            cache=cache and replace(cache, sink=change(cache.sink)),
        )

    @property
    def stored(self) -> pa.Schema:
        """The columns inside the files: all but those that became folders."""
        return pa.schema([field for field in self.schema if field.name not in self.partition_by])


@dataclass(frozen=True, kw_only=True)
class QuarantineSpec:
    """What is kept of rows that the model fails for.

    Attributes:
        sink: How they become files, in the same folder as the others.
        columns: The columns of the source that tell them apart.
        run_id: The run, by which the table is partitioned.
    """

    sink: SinkSpec
    columns: tuple[str, ...]
    run_id: str


@dataclass(frozen=True, kw_only=True)
class PartSpec:
    """What the tasks of a run summarise of their rows.

    Attributes:
        sink: How a task's part becomes a file, in the same folder as the others.
        by: The columns whose values make a group, and their types.
        measures: What is computed of each.
    """

    sink: SinkSpec
    by: pa.Schema
    measures: tuple[Measure, ...]


@dataclass(frozen=True, kw_only=True)
class CacheSpec:
    """Which predictions of earlier runs are looked up, and how new ones are kept.

    Attributes:
        sink: How new ones become files, in the same folder as the others.
        uri: The table of the earlier ones.
        scoring: What decides an answer besides the row, as one text (`LoadSpec.answers_digest`).
        digest: The model's digest.
        files: The files of these predictions, below the table's folder, as they were when the run was planned.
        outputs: What the model returns.
    """

    sink: SinkSpec
    uri: str
    scoring: str
    digest: str
    files: tuple[str, ...]
    outputs: pa.Schema


@dataclass(frozen=True, kw_only=True)
class WrittenFile:
    """A file that a task wrote.

    Attributes:
        path: Below the folder.
        size: Its bytes.
        rows: Its rows.
        values: Partition column to its value, as Delta's log writes it; None is null.
        statistics: Delta's statistics of its columns: ``minValues``, ``maxValues``, ``nullCount``.
        aside: Whether it holds quarantined rows, and belongs into the table for these.
        part: Whether it holds a part of the summary, and belongs into no table.
        cached: Whether it holds new predictions for the prediction cache.
    """

    path: str
    size: int
    rows: int
    values: Mapping[str, str | None] = field(default_factory=dict)
    statistics: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    aside: bool = False
    part: bool = False
    cached: bool = False

    @property
    def is_scored(self) -> bool:
        """Whether it holds scored rows, and belongs into the target."""
        return not (self.aside or self.part or self.cached)


def file_metadata(columns: pa.Schema) -> dict[str, str]:
    """Return what Spark would write into a Parquet file beside the rows.

    Args:
        columns: Those inside the file.
    """
    return {
        "org.apache.spark.sql.parquet.row.metadata": json.dumps(to_json(columns)),
        # Says which calendar old dates are in: Spark takes files without it for whatever the session's settings say.
        "org.apache.spark.version": "4.0.0",
    }


def has_own_metadata(field: Mapping[str, Any]) -> bool:
    """Whether a column, in Spark's JSON, has metadata that changes how values are written; comments do not."""
    return bool(set(field.get("metadata") or ()) - {"comment"}) or "collate" in str(field["type"])
