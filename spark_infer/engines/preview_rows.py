"""Which rows of a source a preview scores, and what a worker does with a task of it: read, score, hand back a few."""

from __future__ import annotations

import math
import random
import zlib
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from spark_infer.core.stats import Stats
from spark_infer.engines.direct_work import DirectWork
from spark_infer.models.worker import score_table_batches
from spark_infer.runtime.assignment import Assignment
from spark_infer.tables.scan.read import read_task
from spark_infer.tables.scan.task import Piece, Scan, ScanTask

Previewed = tuple[bytes, Mapping[str, Any]]
"""Some of the rows that a task scored, as a stream of Arrow's, and what the task cost."""

_PIECES = 16
"""From so many files or row groups a sample is drawn at least, where there are as many."""


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which rows a preview scores.

    Attributes:
        rows: How many rows a task hands back, at most twice as many; without a share, the most that it scores.
        share: The share of the rows to score, drawn from all over what is read; None scores the first rows.
        seed: Decides which rows are drawn.
    """

    rows: int
    share: float | None = None
    seed: int = 0

    def among(self, tasks: Sequence[ScanTask]) -> tuple[Selection, tuple[ScanTask, ...]]:
        """Choose the files and row groups that a sample is drawn from; returns what is to be drawn from these.

        A small share of many files is read from a few of them, and not from all.
        """
        pieces = [(task.number, place) for task in tasks for place in range(len(task.pieces))]
        if self.share is None or not pieces:
            return self, tuple(tasks)
        count = min(len(pieces), max(_PIECES, math.ceil(len(pieces) * self.share)))
        chosen = set(random.Random(self.seed).sample(pieces, count))
        share = min(1.0, self.share * len(pieces) / count)
        left = (replace(task, pieces=_chosen(task, chosen)) for task in tasks)
        return replace(self, share=share), tuple(task for task in left if task.pieces)

    def read(self, task: ScanTask, scan: Scan, *, threads: int) -> Iterator[pa.RecordBatch]:
        """Read the rows of a task that are to be scored."""
        if self.share is None:
            yield from _first(read_task(task, scan, threads=threads), self.rows)
            return
        for piece in task.pieces:
            draw = np.random.default_rng([self.seed, *_place(piece)])
            for batch in read_task(replace(task, pieces=(piece,)), scan, threads=threads):
                yield batch.filter(pa.array(draw.random(batch.num_rows) < self.share))


def preview_task(
    work: DirectWork, folder: Callable[[], Path], number: int, assigned: Assignment, selection: Selection
) -> Previewed:
    """Read and score rows of one task; writes nothing.

    Args:
        work: The preview.
        folder: Finds the model's files on this node.
        number: Which task.
        assigned: Where it runs.
        selection: Which rows.
    """
    stats = Stats()
    rows = selection.read(work.task(number), work.scan, threads=assigned.cpus or work.recipe.load.threads)
    shown = Shown(selection.rows)
    for batch in score_table_batches(work.recipe, folder, rows, assigned, stats=stats):
        shown.add(batch)
    return shown.to_stream(), stats.take()


class Shown:
    """Rows from all over what a task scores: at least so many, where there are as many, and at most twice that.

    Args:
        rows: How many.
    """

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._every = 1
        self._held: list[pa.RecordBatch] = []
        self.seen = 0

    def add(self, batch: pa.RecordBatch) -> None:
        """Take each of so many rows; where too many are held, only every other one stays."""
        places = range(-self.seen % self._every, batch.num_rows, self._every)
        self._held.append(batch.take(pa.array(places, pa.int64())))
        self.seen += batch.num_rows
        while sum(each.num_rows for each in self._held) > 2 * self._rows:
            held = pa.concat_batches(self._held)
            self._held = [held.take(pa.array(range(0, held.num_rows, 2), pa.int64()))]
            self._every *= 2

    def to_stream(self) -> bytes:
        """Write the rows as a stream of Arrow's; empty where there are none."""
        if not self._held:
            return b""
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, self._held[0].schema) as stream:
            for batch in self._held:
                stream.write_batch(batch)
        return bytes(sink.getvalue().to_pybytes())


def from_streams(streams: Iterable[bytes]) -> pa.Table | None:
    """Read what `Shown.to_stream` wrote, one after the other; None where there is no row."""
    tables = [pa.ipc.open_stream(stream).read_all() for stream in streams if stream]
    return pa.concat_tables(tables) if tables else None


def _first(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        if rows <= 0:
            return
        yield batch.slice(0, rows)
        rows -= batch.num_rows


def _chosen(task: ScanTask, chosen: Container[tuple[int, int]]) -> tuple[Piece, ...]:
    return tuple(piece for place, piece in enumerate(task.pieces) if (task.number, place) in chosen)


def _place(piece: Piece) -> tuple[int, int]:
    """What tells a piece of a table from the others, as numbers."""
    return zlib.crc32(piece.path.encode()), (piece.groups or (0,))[0]
