"""Model batches out of whatever record batches arrive."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import pyarrow as pa

from spark_infer.config import DEFAULT_BATCH_SIZE


def rebatch(
    batches: Iterable[pa.RecordBatch], *, rows: int | Callable[[], int], max_bytes: int
) -> Iterator[pa.RecordBatch]:
    """Cut a stream of record batches into others: at most ``rows`` rows each, order kept.

    A batch of exactly ``rows`` rows passes through without a copy, also after an odd one, which then goes alone; all
    others are joined, as long as they fit into ``max_bytes`` together, and cut to ``rows``. A batch of more than
    ``max_bytes`` is halved until it fits; a single row larger than that goes alone.

    Args:
        batches: Record batches of one schema, of any sizes; empty ones are dropped.
        rows: Rows of a model batch, at least 1; or what says how many, and is asked before each batch.
        max_bytes: Bytes of a model batch, counted on its Arrow buffers.
    """
    asked = rows if callable(rows) else lambda: rows
    held: list[pa.RecordBatch] = []
    wanted = missing = asked()
    held_bytes = 0
    for batch in batches:
        if held and (batch.num_rows == wanted or held_bytes + batch.nbytes > max_bytes):
            yield from _bounded(_joined(held), max_bytes)
            wanted = missing = asked()
            held, held_bytes = [], 0
        while batch.num_rows >= missing:
            held.append(batch.slice(0, missing))
            batch = batch.slice(missing)
            yield from _bounded(_joined(held), max_bytes)
            wanted = missing = asked()
            held, held_bytes = [], 0
        if batch.num_rows:
            held.append(batch)
            missing -= batch.num_rows
            held_bytes += batch.nbytes
    if held:
        yield from _bounded(_joined(held), max_bytes)


def model_rows(asked: int | None, model: object, *, most: int | None = None) -> int:
    """Return the most rows of a model batch: those asked for, else those that the model is fastest with.

    Args:
        asked: What the user wants, if anything.
        model: The loaded model; one that has no ``batch_rows`` gets the usual batches.
        most: How many there is room for; None for any number.
    """
    rows = asked or window_rows(model)
    return rows if most is None else min(rows, most)


def window_rows(model: object) -> int:
    """Return how many rows a model is given to choose batches from, where nobody asks for less."""
    return getattr(model, "batch_rows", None) or DEFAULT_BATCH_SIZE


def _joined(held: list[pa.RecordBatch]) -> pa.RecordBatch:
    return held[0] if len(held) == 1 else pa.concat_batches(held)


def _bounded(batch: pa.RecordBatch, max_bytes: int) -> Iterator[pa.RecordBatch]:
    if batch.num_rows <= 1 or batch.nbytes <= max_bytes:
        yield batch
        return
    half = batch.num_rows // 2
    yield from _bounded(batch.slice(0, half), max_bytes)
    yield from _bounded(batch.slice(half), max_bytes)
