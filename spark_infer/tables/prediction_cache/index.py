"""Find predictions in the files of a prediction cache: where each stands is in memory, the predictions are read."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import ArrowException
from pyarrow import parquet as pq

from spark_infer.core.casts import retype
from spark_infer.core.duplicates import Digests
from spark_infer.errors import SourceReadError
from spark_infer.runtime.process_state import this_process
from spark_infer.tables.prediction_cache.cached_columns import REMOVE, ROW, as_digests, first_words
from spark_infer.tables.sink.sink_spec import CacheSpec
from spark_infer.tables.storage import Storage, open_storage

T = TypeVar("T")

logger = logging.getLogger(__name__)

HELD_BYTES = 64 * 2**20
"""Most bytes of row groups that stay in memory after they were read."""


def open_index(spec: CacheSpec) -> PredictionIndex:
    """Return the index of a cache; a process makes it once for all tasks of a run.

    Raises:
        SourceReadError: A file is damaged, or the cache cannot be reached.
    """
    process, key = this_process(), (spec.uri, spec.files, spec.outputs)
    if process.prediction_index is None or process.prediction_index[0] != key:
        storage = open_storage(spec.uri)
        if storage is None:
            raise SourceReadError(f"A worker cannot reach the prediction cache {spec.uri}.")
        process.prediction_index = None  # which makes room for the new one
        process.prediction_index = key, PredictionIndex(storage, spec.files, spec.outputs)
    index: PredictionIndex = process.prediction_index[1]
    return index


class PredictionIndex:
    """Where the predictions of a cache stand: 12 bytes of memory for each, and the row groups that were read last.

    A file that is gone holds nothing: whoever removes old predictions need not ask.

    Args:
        storage: The folder of the table.
        files: Its files, below that.
        outputs: What the model returns.
        held_bytes: Most bytes of row groups to keep.

    Raises:
        SourceReadError: A file is damaged.
    """

    def __init__(
        self, storage: Storage, files: Sequence[str], outputs: pa.Schema, *, held_bytes: int = HELD_BYTES
    ) -> None:
        self._storage = storage
        self._outputs = outputs
        self._held_bytes = held_bytes
        self._held: OrderedDict[int, pa.RecordBatch | None] = OrderedDict()
        self._groups: list[tuple[str, int]] = []
        starts, words = [0], [np.empty(0, np.uint64)]
        self._footers: dict[str, pq.FileMetaData] = {}
        for path in files:
            found = self._read(path, first_words)
            if found is None:
                continue
            words.append(found)
            footer = self._footers[path]
            for number in range(footer.num_row_groups):
                self._groups.append((path, number))
                starts.append(starts[-1] + footer.row_group(number).num_rows)
        self._starts = np.array(starts)
        unsorted = np.concatenate(words)
        words.clear()  # which makes room for sorting
        order = np.argsort(unsorted, kind="stable")  # of equal rows the one that stands first is found
        self._words, self._rows = unsorted[order], order.astype(np.uint32)
        pa.default_memory_pool().release_unused()  # of the columns, more than twice what is kept of them

    def __len__(self) -> int:
        return len(self._words)

    def find(self, digests: Digests) -> tuple[npt.NDArray[np.bool_], pa.RecordBatch]:
        """Say which rows are there, and return their predictions in the order of the digests.

        Raises:
            SourceReadError: A file is damaged.
        """
        known = np.zeros(len(digests), np.bool_)
        places = np.searchsorted(self._words, digests[:, 0])
        asked = np.flatnonzero(places < len(self._words))
        asked = asked[self._words[places[asked]] == digests[asked, 0]]
        rows = self._rows[places[asked]].astype(np.int64)
        by_row = np.argsort(rows, kind="stable")
        asked, rows = asked[by_row], rows[by_row]
        answers, at = [pa.RecordBatch.from_pylist([], schema=self._outputs)], [asked[:0]]
        groups, firsts = np.unique(np.searchsorted(self._starts, rows, side="right") - 1, return_index=True)
        for group, (first, end) in zip(groups.tolist(), pairwise([*firsts, len(rows)]), strict=True):
            held = self._group(group)
            if held is None:
                continue
            taken = held.take(pa.array(rows[first:end] - self._starts[group]))
            same = (as_digests(taken.column(ROW)) == digests[asked[first:end]]).all(axis=1)
            answers.append(taken.select(self._outputs.names).filter(pa.array(same)))
            at.append(asked[first:end][same])
        order = np.concatenate(at)
        known[order] = True
        return known, pa.concat_batches(answers).take(pa.array(np.argsort(order)))

    def _group(self, group: int) -> pa.RecordBatch | None:
        """Return a row group with the digests of its rows, read or from memory; None where its file is gone."""
        if group in self._held:
            self._held.move_to_end(group)
            return self._held[group]
        path, number = self._groups[group]
        held = self._read(path, lambda file: self._held_columns(file.read_row_group(number)))
        self._held[group] = held
        while len(self._held) > 1 and sum(each.nbytes for each in self._held.values() if each) > self._held_bytes:
            self._held.popitem(last=False)
        return held

    def _held_columns(self, table: pa.Table) -> pa.RecordBatch:
        columns = {field.name: _whole(table.column(field.name), field.type) for field in self._outputs}
        schema = pa.schema([pa.field(ROW, pa.binary()), *self._outputs])
        return pa.RecordBatch.from_arrays([_whole(table.column(ROW), pa.binary()), *columns.values()], schema=schema)

    def _read(self, path: str, read: Callable[[pq.ParquetFile], T]) -> T | None:
        """Read something from a file; None where it is gone."""
        try:
            with self._storage.files.open_input_file(self._storage.at(path)) as stream:
                file = pq.ParquetFile(stream, metadata=self._footers.get(path))
                self._footers[path] = file.metadata
                return read(file)
        except FileNotFoundError:
            logger.warning("%s is gone from the prediction cache: its rows are predicted", path)
            return None
        except (ArrowException, OSError, ValueError, KeyError) as error:
            raise SourceReadError(
                f"A file of the prediction cache, {self._storage.at(path)}, is damaged.",
                details=[type(error).__name__],
                next_step=REMOVE,
            ) from error


def _whole(column: pa.ChunkedArray, kind: pa.DataType) -> pa.Array:
    return retype(pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type), kind)
