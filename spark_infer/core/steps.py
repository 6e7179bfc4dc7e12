"""The steps around predict: your own functions on Arrow batches, and ready-made ones over the outputs."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import assert_never

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from spark_infer.config import (
    ArgmaxLabelStep,
    FunctionStep,
    LabelMapStep,
    PackStep,
    PostprocessStep,
    ThresholdStep,
    TopKStep,
)
from spark_infer.core.pack import packed
from spark_infer.core.reason import reason
from spark_infer.core.signature import spelled
from spark_infer.errors import SparkInferError, StepError, StepFailedError, nearest

Step = Callable[[pa.RecordBatch], pa.RecordBatch]


def load_function(spec: str, *, role: str) -> Step:
    """Import ``module:function``.

    Args:
        spec: Where the function is.
        role: ``preprocess`` or ``postprocess``, for messages.

    Raises:
        StepError: The module does not import, or has no such callable.
    """
    module_name, _, function_name = spec.partition(":")
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        raise StepError(
            f"The {role} function {spec!r} cannot be imported here ({type(error).__name__}: {error}).",
            next_step="install its module where Spark's Python runs, name its folder in PYTHONPATH (`PYTHONPATH=.` for "
            "the current one), or ship it with spark-submit --py-files.",
        ) from error
    function = getattr(module, function_name, None)
    if not callable(function):
        names = [name for name in vars(module) if callable(getattr(module, name))]
        raise StepError(f"Module {module_name!r} has no function {function_name!r}{nearest(function_name, names)}.")
    return function  # type: ignore[no-any-return]


def call(function: Step, batch: pa.RecordBatch, *, spec: str, role: str, show_values: bool) -> pa.RecordBatch:
    """Call a user's function and check that it returned one row for each row.

    Raises:
        StepFailedError: It raised, returned something else than Arrow, or another number of rows.
    """
    try:
        result = function(batch)
    except SparkInferError:
        raise
    except (Exception, SystemExit) as error:
        raise StepFailedError(
            f"The {role} function {spec!r} raised on a batch of {batch.num_rows} rows.",
            details=reason(error, show_values=show_values),
        ) from None
    if isinstance(result, pa.Table):
        result = _one_batch(result)
    if not isinstance(result, pa.RecordBatch):
        raise StepFailedError(
            f"The {role} function {spec!r} returned {type(result).__name__}.",
            next_step="return a pyarrow.RecordBatch with one row for each row it was given.",
        )
    if result.num_rows != batch.num_rows:
        raise StepFailedError(
            f"The {role} function {spec!r} returned {result.num_rows} rows for a batch of {batch.num_rows}.",
            next_step="return one row for each row; drop rows with `where` instead.",
        )
    return result


def _one_batch(table: pa.Table) -> pa.RecordBatch:
    chunks = table.combine_chunks().to_batches()
    return chunks[0] if chunks else pa.RecordBatch.from_pylist([], schema=table.schema)


def compile_postprocess(steps: Sequence[PostprocessStep], *, show_values: bool = False) -> Step:
    """Chain the postprocess steps into one function from output batch to output batch.

    Raises:
        StepError: A `function` step cannot be imported.
    """
    compiled = [_compile(step, show_values) for step in steps]

    def apply(batch: pa.RecordBatch) -> pa.RecordBatch:
        for step in compiled:
            batch = step(batch)
        return batch

    return apply


def _compile(step: PostprocessStep, show_values: bool) -> Step:
    match step:
        case FunctionStep():
            function = load_function(step.function, role="postprocess")
            return lambda batch: call(function, batch, spec=step.function, role="postprocess", show_values=show_values)
        case ThresholdStep():
            return lambda batch: threshold(batch, step)
        case ArgmaxLabelStep():
            return lambda batch: argmax_label(batch, step)
        case TopKStep():
            return lambda batch: top_k(batch, step)
        case LabelMapStep():
            return lambda batch: label_map(batch, step)
        case PackStep():
            return lambda batch: pack(batch, step)
        case _:
            assert_never(step)


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
