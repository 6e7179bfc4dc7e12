"""Publish what workers wrote: their files are checked, and become part of the table all at once or not at all."""

from __future__ import annotations

import json
import logging
import posixpath
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from pyarrow import ArrowException

from spark_infer.errors import WriteError
from spark_infer.tables import transaction
from spark_infer.tables.newtable import removed_on_failure
from spark_infer.tables.parquet import EMPTY_TABLE_FILE, PARTITIONED_BY
from spark_infer.tables.plan import WritePlan, Written
from spark_infer.tables.publish import publish
from spark_infer.tables.sink.sink import write_empty
from spark_infer.tables.sink.spec import SinkSpec, WrittenFile
from spark_infer.tables.staging import create_table, staging
from spark_infer.tables.storage import Storage

logger = logging.getLogger(__name__)

Fill = Callable[[SinkSpec], list[WrittenFile]]
"""Has the workers write into the folder of a sink, and returns the files of the tasks that were finished."""


def hand_over(
    plan: WritePlan, sink: SinkSpec, fill: Fill, *, schema: str, facts: Mapping[str, str | int | float]
) -> Written:
    """Have files written where they are needed, then publish them.

    A failure leaves the target as it was, and removes the files that were written.

    Args:
        plan: The write.
        sink: What is written; the folder is chosen here.
        fill: Has the workers write.
        schema: Spark's JSON of the target's columns.
        facts: What the run wants to be remembered by.

    Raises:
        WriteError: Files are missing, or could not be published.
    """
    storage = plan.location.storage()
    if storage is None:
        raise WriteError(f"This process cannot reach {plan.location.name}.", next_step="set plane: spark.")
    if plan.location.format == "parquet":
        return _parquet(plan, storage, sink, fill)
    return _delta(plan, storage, sink, fill, schema, json.dumps(dict(facts), separators=(",", ":")))


def _delta(plan: WritePlan, storage: Storage, sink: SinkSpec, fill: Fill, schema: str, stamp: str) -> Written:
    if not plan.creates:
        with _removed_on_failure(storage, sink):
            files = _filled(storage, sink, fill)
            if not files and plan.mode == "append":
                return Written(plan.location, None, 0, 0, 0, ("No row was written, and so there is no commit.",))
            ready = transaction.prepare(storage, plan, schema)
        # From here on the log may name the files, so that they stay whatever happens.
        return _written(plan, transaction.commit(storage, plan, ready, files, schema, stamp), files)
    if not storage.renames_atomically:
        with removed_on_failure(storage):
            files = _filled(storage, sink, fill)
            return _written(plan, transaction.create_table(storage, plan, files, schema, stamp), files)
    with staging(storage) as stage:
        files = _filled(stage.new, sink, fill)
        version = transaction.create_table(stage.new, plan, files, schema, stamp)
        create_table(stage)
    return _written(plan, version, files)


def _parquet(plan: WritePlan, storage: Storage, sink: SinkSpec, fill: Fill) -> Written:
    if plan.creates and not storage.renames_atomically:
        # On an object store a rename would copy every file.
        with removed_on_failure(storage):
            files = _filled(storage, sink, fill)
            _remove_strays(storage, files)
            _keep_schema(plan, storage, sink, files)
        return _written(plan, None, files)
    with staging(storage) as stage:
        files = _filled(stage.new, sink, fill)
        _remove_strays(stage.new, files)
        _keep_schema(plan, stage.new, sink, files)
        notes = publish(stage, stage.new.data_files(), plan)
    return _written(plan, None, files, notes)


def _written(
    plan: WritePlan, version: int | None, files: Sequence[WrittenFile], notes: tuple[str, ...] = ()
) -> Written:
    rows, size = sum(file.rows for file in files), sum(file.size for file in files)
    return Written(plan.location, version, rows, len(files), size, notes)


def _filled(storage: Storage, sink: SinkSpec, fill: Fill) -> list[WrittenFile]:
    """Have the files written, and see that they are there."""
    storage.files.create_dir(storage.root)
    files = fill(sink.into(storage.uri))
    infos = storage.files.get_file_info([storage.at(file.path) for file in files])
    for file, info in zip(files, infos, strict=True):
        if not info.is_file or info.size != file.size:
            raise WriteError(
                f"The file {storage.at(file.path)} is not there as a worker wrote it.",
                details=[f"{info.size} bytes here, {file.size} where it was written"],
                next_step="write to a folder that all nodes share, or set plane: spark; nothing was published.",
            )
    return files


def _remove_strays(storage: Storage, files: Sequence[WrittenFile]) -> None:
    """Remove what tasks wrote that were tried again."""
    ours = {file.path for file in files}
    for path in storage.every_path():
        if path not in ours:
            storage.files.delete_file(storage.at(path))


def _keep_schema(plan: WritePlan, folder: Storage, sink: SinkSpec, files: Sequence[WrittenFile]) -> None:
    """Give a table without rows one file that holds its columns."""
    if files:
        return
    partitions = json.dumps(dict(zip(plan.partition_by, plan.partition_types, strict=True)))
    write_empty(sink, folder, EMPTY_TABLE_FILE, {PARTITIONED_BY.decode(): partitions})


@contextmanager
def _removed_on_failure(storage: Storage, sink: SinkSpec) -> Iterator[None]:
    """Remove the files of a run that failed from a table's folder; no reader has seen them."""
    try:
        yield
    except BaseException:
        try:
            for path in storage.every_path():
                if sink.run_id in posixpath.basename(path):
                    storage.files.delete_file(storage.at(path))
        except (ArrowException, OSError) as error:
            logger.warning("Files of the failed run could not be removed from %s: %s", storage.root, error)
        raise
