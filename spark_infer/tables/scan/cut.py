"""Files into scan tasks of about equal weight: small files are packed together, large ones are cut by row groups."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from spark_infer.tables.listing import Footer, Listing, SourceFile
from spark_infer.tables.scan.task import Piece, ScanTask
from spark_infer.tables.scan.values import parsed

LEAST_BYTES = 4 * 2**20
MOST_BYTES = 128 * 2**20
OPEN_BYTES = 2**20
"""What opening a file costs, as bytes that could be read meanwhile; keeps tasks of tiny files short."""
TASKS_FOR_EACH_SLOT = 4
NAMEABLE = ("boolean", "tinyint", "smallint", "int", "bigint", "date", "decimal", "string")
"""Types whose partition values mean the same in every session."""


def cut(listing: Listing, slots: int, most: int | None = None) -> list[ScanTask]:
    """Cut a listing into tasks; the rows keep the order of the listing.

    Only files whose footers are known can be cut (see `too_large`).

    Args:
        listing: The files.
        slots: How many tasks run at once.
        most: Bytes that a task may not exceed, as far as files can be cut; None leaves it to the slots.
    """
    most = task_bytes(listing, slots, most)
    pieces = (piece for file in listing.files for piece in _pieces(file, listing.footers.get(file.path), most))
    return [ScanTask(number, tuple(packed)) for number, packed in enumerate(_packed(pieces, most))]


def cut_by_partition(listing: Listing, types: Mapping[str, str]) -> list[ScanTask]:
    """Make a task of each table partition, for a reader that can choose partitions and not files.

    Args:
        listing: The files.
        types: Partition column to its type.

    Returns:
        The tasks; none where a partition cannot be named by its values alone.
    """
    if listing.doubts or not types or not all(kind.partition("(")[0] in NAMEABLE for kind in types.values()):
        return []
    found: dict[tuple[Any, ...], list[Piece]] = {}
    try:
        for file in listing.files:
            if "" in file.values.values():  # which one format takes for null, and the other does not
                return []
            key = tuple(parsed(file.values.get(name), kind) for name, kind in types.items())
            found.setdefault(key, []).append(_piece(file, None, file.rows, file.size))
    except ValueError:
        return []
    return [ScanTask(number, tuple(pieces)) for number, pieces in enumerate(found.values())]


def task_bytes(listing: Listing, slots: int, most: int | None = None) -> int:
    """Bytes for one task: several tasks for each slot, so that no slot waits long for the last one.

    Tasks of a small table are small only as far as every slot gets one: its model may be dear.
    """
    work, slots = listing.size_bytes + OPEN_BYTES * len(listing.files), max(1, slots)
    least = min(LEAST_BYTES, -(-work // slots))
    return min(most or MOST_BYTES, MOST_BYTES, max(least, work // (slots * TASKS_FOR_EACH_SLOT)))


def too_large(listing: Listing, slots: int, most: int | None = None) -> list[str]:
    """The paths of files that are more than one task's work, and whose footers were not read yet."""
    most = task_bytes(listing, slots, most)
    return [file.path for file in listing.files if file.size > most and file.path not in listing.footers]


def _pieces(file: SourceFile, footer: Footer | None, most: int) -> Iterator[Piece]:
    is_partial = file.vector is not None or file.picked is not None
    uncounted = file.picked is not None or (file.vector is not None and file.group_deletes is None)
    if footer is None or file.size <= most or len(footer.group_rows) < 2 or uncounted:
        # With the footer at hand its count is better than the log's, unless not all of its rows are read.
        yield _piece(file, None, file.rows if footer is None or is_partial else footer.rows, file.size)
        return
    # A row group is the least that can be read alone; its share of the rows stands for its share of the bytes.
    total = max(1, sum(footer.group_rows))
    group_bytes = [file.size * rows // total for rows in footer.group_rows]
    parts = -(-file.size // most)
    for groups in _runs(group_bytes, file.size / parts):
        rows = sum(footer.group_rows[group] - (file.group_deletes or {group: 0})[group] for group in groups)
        yield _piece(file, tuple(groups), rows, sum(group_bytes[group] for group in groups))


def _runs(sizes: Sequence[int], wanted: float) -> Iterator[list[int]]:
    """Cut a row of sizes where their running total comes nearest to each multiple of ``wanted``."""
    run: list[int] = []
    total, bound = 0.0, wanted
    for number, size in enumerate(sizes):
        if run and total + size / 2 > bound:
            yield run
            run = []
            bound = max(bound + wanted, total + wanted / 2)
        run.append(number)
        total += size
    yield run


def _piece(file: SourceFile, groups: tuple[int, ...] | None, rows: int | None, weight: int) -> Piece:
    return Piece(
        path=file.path,
        size=file.size,
        values=file.values,
        groups=groups,
        rows=rows,
        weight=weight,
        modified_ns=file.modified_ns,
        vector=file.vector,
        picked=file.picked,
    )


def _packed(pieces: Iterable[Piece], most: int) -> Iterator[list[Piece]]:
    # Where a task is a slot's share of a small table, one file more than that leaves other slots without work.
    bound = most if most < LEAST_BYTES else most + OPEN_BYTES
    held: list[Piece] = []
    weight = 0
    for piece in pieces:
        cost = piece.weight + OPEN_BYTES
        if held and weight + cost > bound:
            yield held
            held, weight = [], 0
        held.append(piece)
        weight += cost
    if held:
        yield held
