"""Read a scan task whose pieces are whole files: a row for each, with its content where that is wanted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
from pyarrow import ArrowException

from spark_infer.errors import SourceReadError
from spark_infer.tables.files.table_snapshot import COLUMNS, CONTENT
from spark_infer.tables.paths import logged_path, shown_path
from spark_infer.tables.scan.positions import PIECE, ROW
from spark_infer.tables.scan.task import Piece, Scan, ScanTask
from spark_infer.tables.scan.unchanged import refuse_changed, unreadable
from spark_infer.tables.storage import Storage
from spark_infer.tables.where.mask import outcome

MOST_BYTES = 2**30
"""Of the content of one batch: a column of Arrow holds less than 2 GiB."""

Numbered = tuple[int, Piece]


def read_files(storage: Storage, task: ScanTask, scan: Scan, threads: int) -> Iterator[pa.RecordBatch]:
    """Read the files of a task, in order; holds the content of one batch.

    Raises:
        SourceReadError: A file vanished or changed since the run was planned, cannot be reached, or is too large.
    """
    numbered = list(enumerate(task.pieces))
    for start in range(0, len(numbered), scan.batch_rows):
        some = _wanted(numbered[start : start + scan.batch_rows], scan)
        for part in _cut(some, min(scan.batch_bytes, MOST_BYTES)) if _reads_content(scan) else [some]:
            if part:
                yield _batch(storage, part, scan)


def _reads_content(scan: Scan) -> bool:
    return CONTENT in scan.schema.names


def _wanted(files: list[Numbered], scan: Scan) -> list[Numbered]:
    """Those that meet the condition, which looks at no content."""
    if scan.condition is None:
        return files
    known = _known([piece for _, piece in files], scan)
    # A file has a content, be it an empty one: that is all that a condition may ask.
    known = known.append_column(CONTENT, pa.array([b""] * len(files), pa.binary()))
    return [
        file for file, is_wanted in zip(files, outcome(scan.condition, known).to_pylist(), strict=True) if is_wanted
    ]


def _cut(files: list[Numbered], most: int) -> Iterator[list[Numbered]]:
    held: list[Numbered] = []
    size = 0
    for file in files:
        if held and size + file[1].size > most:
            yield held
            held, size = [], 0
        held.append(file)
        size += file[1].size
    yield held


def _batch(storage: Storage, files: list[Numbered], scan: Scan) -> pa.RecordBatch:
    pieces = [piece for _, piece in files]
    batch = _known(pieces, scan)
    if _reads_content(scan):
        batch = batch.append_column(CONTENT, pa.array([_content(storage, piece) for piece in pieces], pa.binary()))
    if scan.positions:
        numbers = pa.array([number for number, _ in files], pa.int32())
        batch = batch.append_column(PIECE, numbers).append_column(ROW, pa.array(np.zeros(len(files), np.int64)))
    return batch.select(scan.handed_on)


def _known(pieces: Sequence[Piece], scan: Scan) -> pa.RecordBatch:
    """What is known of files without opening them."""
    folder = scan.uri.removeprefix("file://")
    times = [None if piece.modified_ns is None else piece.modified_ns // 1000 for piece in pieces]
    columns = {
        "path": [f"{folder}/{piece.path}" if piece.path else folder for piece in pieces],
        "modificationTime": times,
        "length": [piece.size for piece in pieces],
    }
    return pa.RecordBatch.from_arrays(
        [pa.array(values, COLUMNS.field(name).type) for name, values in columns.items()], names=list(columns)
    )


def _content(storage: Storage, piece: Piece) -> bytes:
    path = shown_path(storage.at(piece.path))
    try:
        if piece.size > MOST_BYTES:
            raise unreadable(path, f"it has {piece.size:,} bytes, and at most {MOST_BYTES:,} are read of a file")
        refuse_changed(storage, piece)
        with storage.files.open_input_file(storage.at(piece.path)) as stream:
            content = bytes(stream.read())
        if len(content) != piece.size:
            raise unreadable(path, "it was written again after the run was planned")
        return content
    except FileNotFoundError as error:
        logged_path(storage.at(piece.path))
        raise unreadable(path, "it is missing: it vanished after the run was planned") from error
    except (ArrowException, OSError) as error:
        logged_path(storage.at(piece.path))
        raise unreadable(path, "it cannot be reached, or this process may not read it") from error
    except SourceReadError:
        logged_path(storage.at(piece.path))
        raise
