"""Rows of a job's source to measure on, as a small table of the same columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet as pq

from spark_infer.tables.scan.read import read_task
from spark_infer.tables.scan.task import Scan, ScanTask, spread_tasks

_PLACES = 16
"""From how many tasks rows are taken: the first file alone may hold one kind of row."""


def some_rows(scan: Scan, tasks: Sequence[ScanTask], most: int) -> pa.Table:
    """Read rows that lie spread over a table.

    Args:
        scan: How to read.
        tasks: What there is.
        most: How many rows at most.

    Raises:
        SourceReadError: A file is damaged, or cannot be reached.
    """
    chosen = spread_tasks(tasks, _PLACES)
    batches: list[pa.RecordBatch] = []
    for number, task in enumerate(chosen):
        left = most - sum(batch.num_rows for batch in batches)
        batches += _beginning(task, scan, -(-left // (len(chosen) - number)))
    return pa.Table.from_batches(batches, schema=scan.schema)


def _beginning(task: ScanTask, scan: Scan, most: int) -> Iterator[pa.RecordBatch]:
    for batch in read_task(task, scan):
        if most <= 0:
            return
        yield batch.slice(0, most)
        most -= batch.num_rows


def write_sample(rows: pa.Table, folder: Path, files: int) -> None:
    """Write rows as a Parquet table of some files, so that every core gets one."""
    folder.mkdir()
    share = -(-rows.num_rows // files)
    for number in range(files):
        pq.write_table(rows.slice(number * share, share), folder / f"part-{number:05}.parquet")
