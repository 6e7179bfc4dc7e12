"""Read a scan task, whatever its files are; the hot end of the direct plane, without Spark."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from spark_infer.errors import SourceReadError
from spark_infer.tables.files.read_files import read_files
from spark_infer.tables.scan.read_parquet import read_parquet
from spark_infer.tables.scan.task import Scan, ScanTask
from spark_infer.tables.storage import open_storage

_READERS = {"parquet": read_parquet, "files": read_files}


def read_task(task: ScanTask, scan: Scan, *, threads: int = 1) -> Iterator[pa.RecordBatch]:
    """Read the rows of a task, in order.

    Args:
        task: What to read.
        scan: How.
        threads: Threads that may decode at once.

    Raises:
        SourceReadError: A file is damaged, or vanished or changed since the run was planned.
        SparkMustReadError: Spark might read other values from a file.
    """
    storage = open_storage(scan.uri)
    if storage is None:
        raise SourceReadError.worker_cannot_reach(scan.uri)
    yield from _READERS[scan.reader](storage, task, scan, threads)
