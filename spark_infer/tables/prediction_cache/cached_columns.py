"""The columns of a prediction cache."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import parquet as pq

from spark_infer.core.duplicates import Digests
from spark_infer.errors import SchemaMismatchError

DIGEST, SCORING, ROW = "model_digest", "scoring_digest", "row_digest"

PARTITIONS = pa.schema([(DIGEST, pa.string()), (SCORING, pa.string())])
"""The model, and all that decides its answer to a row besides the row."""

OF_RUN = pa.schema(
    [("model_name", pa.string()), ("model_version", pa.string()), ("cached_at", pa.timestamp("us", "UTC"))]
)
"""Columns with one value in all rows of a run."""

ROW_BYTES = 16

REMOVE = (
    "remove the folder of the cache, or of a Parquet one that file alone, and run the same command again: what is gone "
    "is predicted again."
)
"""What to do where a file cannot be read."""


def cache_schema(outputs: pa.Schema) -> pa.Schema:
    """Return the columns of a cache for what a model returns.

    Raises:
        SchemaMismatchError: An output has the name of another column.
    """
    own = [*PARTITIONS, pa.field(ROW, pa.binary()), *OF_RUN]
    taken = {field.name for field in own}
    twice = [name for name in outputs.names if name.casefold() in taken]
    if twice:
        raise SchemaMismatchError(
            "The prediction cache has columns of its own with the names of the model's outputs.",
            problems=[f"output {name!r} is the name of such a column" for name in twice],
            next_step="leave `cache` out; no model with such outputs can have one.",
        )
    return pa.schema([*own, *(pa.field(field.name, stored_type(field.type)) for field in outputs)])


def stored_type(kind: pa.DataType) -> pa.DataType:
    """Return the type in which an output is stored: lists of fixed size as lists, which may hold nulls.

    https://github.com/apache/arrow/issues/35692
    """
    types = pa.types
    if types.is_struct(kind):
        return pa.struct([field.with_type(stored_type(field.type)) for field in kind])
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return pa.list_(stored_type(kind.value_type))
    return kind


def as_column(digests: Digests) -> pa.Array:
    """Make a column of digests."""
    ends = np.arange(len(digests) + 1, dtype=np.int32) * ROW_BYTES
    data = np.ascontiguousarray(digests)
    return pa.Array.from_buffers(pa.binary(), len(digests), [None, pa.py_buffer(ends), pa.py_buffer(data)])


def as_digests(column: pa.Array) -> Digests:
    """Read digests from a column.

    Raises:
        ValueError: Its values are not digests.
    """
    ends = np.frombuffer(column.buffers()[1], np.int32, len(column) + 1, 4 * column.offset)
    if column.null_count or (np.diff(ends) != ROW_BYTES).any():
        raise ValueError(f"{ROW} has values that are not of {ROW_BYTES} bytes")
    data = column.buffers()[2] or b""
    return np.frombuffer(data, np.uint64, 2 * len(column), int(ends[0])).reshape(-1, 2)


def first_words(file: pq.ParquetFile) -> npt.NDArray[np.uint64]:
    """Read the first halves of the digests of all rows of a file."""
    batches = file.iter_batches(columns=[ROW])
    words = [as_digests(batch.column(0).cast(pa.binary()))[:, 0].copy() for batch in batches]
    return np.concatenate(words) if words else np.empty(0, np.uint64)
