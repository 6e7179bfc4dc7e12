"""A file is still the one that the run was planned with, or it is not read."""

from __future__ import annotations

from spark_infer.errors import SourceReadError
from spark_infer.tables.paths import shown_path
from spark_infer.tables.scan.task import Piece
from spark_infer.tables.storage import Storage


def refuse_changed(storage: Storage, piece: Piece) -> None:
    """Refuse a file that is gone, or was written again.

    Raises:
        FileNotFoundError: It is gone.
        SourceReadError: It has another size, or another time.
    """
    info = storage.files.get_file_info(storage.at(piece.path))
    if not info.is_file:
        raise FileNotFoundError(piece.path)
    if info.size != piece.size or (piece.modified_ns is not None and info.mtime_ns != piece.modified_ns):
        raise unreadable(shown_path(storage.at(piece.path)), "it was written again after the run was planned")


def unreadable(path: str, why: str) -> SourceReadError:
    """Return the error for a file that cannot be read."""
    return SourceReadError(
        f"The file {path} cannot be read: {why}.",
        next_step="run again when no other job writes the table, or restore the file; nothing of this run was "
        "published.",
    )
