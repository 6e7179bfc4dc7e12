"""Look at what workers wrote before anybody counts on it."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from pyarrow import ArrowException
from pyarrow import parquet as pq

from spark_infer.errors import WriteError
from spark_infer.tables.durable import disk_of
from spark_infer.tables.paths import logged_path
from spark_infer.tables.sink.sink_spec import WrittenFile
from spark_infer.tables.storage import Storage

_READERS = 8


def check_files(folder: Storage, files: Sequence[WrittenFile], *, rows: int | None) -> None:
    """See that files are there as workers wrote them, with all their rows, and have the disk keep them.

    Rows are counted from the files' footers.

    Args:
        folder: Where they are.
        files: As the workers told.
        rows: How many rows they must hold; None where that is not known.

    Raises:
        WriteError: A file is missing or damaged, or rows are.
    """
    infos = folder.files.get_file_info([folder.at(file.path) for file in files])
    for file, info in zip(files, infos, strict=True):
        if not info.is_file or info.size != file.size:
            raise WriteError(
                f"The file {logged_path(folder.at(file.path))} is not there as a worker wrote it.",
                details=[f"{info.size} bytes here, {file.size} where it was written"],
                next_step="write to a folder that all nodes share, or set plane: spark; nothing of it was published.",
            )
    disk_of(folder).keep(folder.root, [file.path for file in files])
    with ThreadPoolExecutor(max_workers=_READERS) as readers:
        counted = list(readers.map(lambda file: _rows(folder, file.path), files))
    for file, found in zip(files, counted, strict=True):
        if found != file.rows:
            raise _lacking(f"the file {logged_path(folder.at(file.path))}", found, file.rows)
    if rows is not None and sum(counted) != rows:
        raise _lacking("a unit's files", sum(counted), rows)


def _rows(folder: Storage, path: str) -> int:
    try:
        with folder.files.open_input_file(folder.at(path)) as stream:
            return int(pq.read_metadata(stream).num_rows)
    except (ArrowException, OSError) as error:
        raise WriteError(
            f"The file {logged_path(folder.at(path))} is damaged: {error}",
            next_step="look at the disk, then run again; nothing of it was published.",
        ) from error


def _lacking(where: str, found: int, wanted: int) -> WriteError:
    return WriteError(
        f"Rows are missing or doubled: {where} should hold {wanted:,} rows and has {found:,}.",
        details=["nothing of it was published"],
        next_step="please report this; it should not happen.",
    )
