"""Ready-made postprocess steps over a model's outputs: thresholds, labels, the best classes, packed numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from spark_infer.config import (
    ArgmaxLabelStep,
    LabelMapStep,
    PackStep,
    ThresholdStep,
    TopKStep,
)
from spark_infer.core.signature import is_list, spelled
from spark_infer.errors import StepError, StepFailedError, nearest


def threshold(batch: pa.RecordBatch, step: ThresholdStep) -> pa.RecordBatch:
    """Add a boolean column: true where the score is at least ``at``; a null score gives null, NaN gives false."""
    scores = _column(batch, step.column, "threshold")
    return _with(batch, step.output, pc.greater_equal(pc.cast(scores, pa.float64()), step.at))


def argmax_label(batch: pa.RecordBatch, step: ArgmaxLabelStep) -> pa.RecordBatch:
    """Add the name of the class with the largest score; the first wins a tie, a row with a null or NaN gives null."""
    scores = _scores(batch, step.columns, "argmax_label")
    labels = _labels(step.labels, step.columns, scores.shape[1])
    unknown = np.isnan(scores).any(axis=1)
    best = (
        np.where(np.isnan(scores), -np.inf, scores).argmax(axis=1) if scores.size else np.zeros(len(scores), dtype=int)
    )
    taken = pa.array(labels, pa.string()).take(pa.array(best, mask=unknown)) if labels else pa.nulls(0, pa.string())
    return _with(batch, step.output, taken)


def top_k(batch: pa.RecordBatch, step: TopKStep) -> pa.RecordBatch:
    """Add the k best classes, best first, as ``array<struct<label, score>>``; NaN scores come last."""
    scores = _scores(batch, step.columns, "top_k")
    labels = _labels(step.labels, step.columns, scores.shape[1])
    k = min(step.k, scores.shape[1])
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    picked = pa.StructArray.from_arrays(
        [
            pa.array(labels, pa.string()).take(pa.array(order.reshape(-1), pa.int64())),
            pa.array(np.take_along_axis(scores, order, axis=1).reshape(-1)),
        ],
        ["label", "score"],
    )
    offsets = pa.array(np.arange(len(scores) + 1, dtype=np.int32) * k)
    return _with(batch, step.output, pa.ListArray.from_arrays(offsets, picked))


def label_map(batch: pa.RecordBatch, step: LabelMapStep) -> pa.RecordBatch:
    """Translate values to names; null stays null, a value without a name becomes ``default`` (or null)."""
    values = _column(batch, step.column, "label_map")
    try:
        keys = pc.cast(pa.array(list(step.labels), pa.string()), values.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise StepError(
            f"The postprocess step label_map names values that {step.column!r} ({spelled(values.type)}) cannot hold.",
            details=[f"the values are {list(step.labels)}"],
        ) from None
    names = pa.array(list(step.labels.values()), pa.string())
    found = names.take(pc.index_in(values, keys))
    if step.default is not None:
        found = pc.if_else(pc.and_(pc.is_null(found), pc.is_valid(values)), pa.scalar(step.default), found)
    return _in_place(batch, step.column, step.output, found)


def pack(batch: pa.RecordBatch, step: PackStep) -> pa.RecordBatch:
    """Pack an array of numbers into binary; null stays null."""
    found = packed(_column(batch, step.column, "pack"), step.number, step.column)
    return _in_place(batch, step.column, step.output, found)


def _in_place(batch: pa.RecordBatch, column: str, output: str | None, array: pa.Array) -> pa.RecordBatch:
    if output is None:
        return batch.set_column(batch.schema.get_field_index(column), column, array)
    return _with(batch, output, array)


def _column(batch: pa.RecordBatch, name: str, step: str) -> pa.Array:
    if name not in batch.schema.names:
        raise StepError(
            f"The postprocess step {step} names the output {name!r}{nearest(name, batch.schema.names)}.",
            details=[f"the outputs are {batch.schema.names}"],
        )
    return batch.column(name)


def _with(batch: pa.RecordBatch, name: str, array: pa.Array) -> pa.RecordBatch:
    if name in batch.schema.names:
        raise StepError(
            f"A postprocess step wants to add the output {name!r}, which exists already.",
            next_step="give the step another `output`.",
        )
    return batch.append_column(name, array)


def _scores(batch: pa.RecordBatch, columns: Sequence[str], step: str) -> npt.NDArray[np.float64]:
    arrays = [_column(batch, name, step) for name in columns]
    if len(arrays) == 1 and pa.types.is_list(arrays[0].type):
        flat = pc.cast(arrays[0].flatten(), pa.float64()).to_numpy(zero_copy_only=False)
        rows = len(arrays[0])
        if rows and (arrays[0].null_count or len(flat) % rows):
            raise StepFailedError(
                f"Output {columns[0]!r} is not an array of one length in every row; {step} needs that."
            )
        table: npt.NDArray[np.float64] = flat.reshape(rows, -1) if rows else flat.reshape(0, 0)
        return table
    return np.column_stack([pc.cast(array, pa.float64()).to_numpy(zero_copy_only=False) for array in arrays])


def _labels(labels: Sequence[str] | None, columns: Sequence[str], width: int) -> list[str]:
    if labels is None:
        return list(columns) if len(columns) == width else [str(index) for index in range(width)]
    if width and len(labels) != width:
        raise StepError(f"A postprocess step names {len(labels)} labels for {width} scores.")
    return list(labels)


_DTYPES = {"float": "<f4", "double": "<f8"}


def packed(lists: pa.Array, number: str, name: str) -> pa.Array:
    """Turn arrays of floating-point numbers into binary; null stays null.

    Args:
        lists: The arrays, of any lengths.
        number: What each number becomes: ``float`` (4 bytes, doubles are rounded) or ``double`` (8 bytes).
        name: The column, for messages.

    Raises:
        StepError: It holds something else.
        StepFailedError: A null or a double beyond float within an array, or more than 2 GiB in a batch.
    """
    if not is_list(lists.type) or not pa.types.is_floating(lists.type.value_type):
        raise StepError(
            f"The postprocess step pack takes an array of float or double, and {name!r} is {spelled(lists.type)}.",
            next_step="let the model return arrays of floats, or leave the step out.",
        )
    values = lists.flatten()
    if values.null_count:
        raise StepFailedError(f"An array of {name!r} holds a null, which packed numbers have no place for.")
    given = values.to_numpy(zero_copy_only=False)
    with np.errstate(over="ignore"):
        numbers = given.astype(_DTYPES[number], copy=False)
    if numbers.itemsize < given.itemsize and np.isinf(numbers).sum() > np.isinf(given).sum():
        raise StepFailedError(
            f"An array of {name!r} holds a number too large for float.", next_step="pack it with number: double."
        )
    ends = np.cumsum(pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False), dtype=np.int64)
    offsets = np.concatenate([[0], ends * numbers.itemsize])
    if offsets[-1] > np.iinfo(np.int32).max:
        raise StepFailedError(f"The arrays of {name!r} take more than 2 GiB.", next_step="use a smaller batch_size.")
    valid = pa.array(lists.is_valid()).buffers()[1] if lists.null_count else None
    buffers = [valid, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(np.ascontiguousarray(numbers))]
    return pa.Array.from_buffers(pa.binary(), len(lists), buffers)
