"""Real rows of a job's source, for the parity gate of `compile`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePosixPath

import pyarrow as pa

from spark_infer.models.sample_rows import SAMPLE_ROWS, Sample
from spark_infer.tables.scan.read import read_task
from spark_infer.tables.scan.task import Piece, Scan, ScanTask, spread_tasks

_PLACES = 8
"""From how many tasks rows are taken: the first file alone may hold one kind of row."""


def from_files(scan: Scan, tasks: tuple[ScanTask, ...]) -> Sample:
    """Read the first rows of some tasks, spread over all of them.

    Raises:
        SourceReadError: A file is damaged, or cannot be reached.
    """
    chosen = spread_tasks(tasks, _PLACES)
    found: list[tuple[pa.RecordBatch, Piece]] = []
    for number, task in enumerate(chosen):
        left = SAMPLE_ROWS - sum(rows.num_rows for rows, _ in found)
        found += _first_of(task, scan, -(-left // (len(chosen) - number)))
    return Sample(batches=[rows for rows, _ in found], places=[_place(piece) for _, piece in found])


def _first_of(task: ScanTask, scan: Scan, most: int) -> Iterator[tuple[pa.RecordBatch, Piece]]:
    for rows, piece in _beginnings(task, scan):
        if most <= 0:
            return
        yield rows.slice(0, most), piece
        most -= rows.num_rows


def _beginnings(task: ScanTask, scan: Scan) -> Iterator[tuple[pa.RecordBatch, Piece]]:
    """The first rows of each piece that has any."""
    for piece in task.pieces:
        found = next((batch for batch in read_task(replace(task, pieces=(piece,)), scan) if batch.num_rows), None)
        if found is not None:
            yield found, piece


def _place(piece: Piece) -> str:
    # Without its folders, whose names may hold values of the table.
    group = f"row group {piece.groups[0]} of " if piece.groups else ""
    return f"{group}{PurePosixPath(piece.path).name}"
