"""The steps around predict: your own functions on Arrow batches, and ready-made ones over the outputs."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence

import pyarrow as pa
from typing_extensions import assert_never

from spark_infer.config import (
    ArgmaxLabelStep,
    FunctionStep,
    LabelMapStep,
    PackStep,
    PostprocessStep,
    ThresholdStep,
    TopKStep,
)
from spark_infer.core.exception_text import describe_exception, text_of
from spark_infer.core.postprocess import argmax_label, label_map, pack, threshold, top_k
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
            f"The {role} function {spec!r} cannot be imported here ({type(error).__name__}: {text_of(error)}).",
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
            details=describe_exception(error, show_values=show_values),
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


def compile_preprocess(spec: str | None, *, show_values: bool, without: Sequence[str] = ()) -> Step | None:
    """Import the preprocess function and wrap it in its checks; None stays None.

    Args:
        spec: Where the function is.
        show_values: Whether the text of an exception may be shown.
        without: Columns of the batches that are not the table's, and that it does not see.
    """
    if spec is None:
        return None
    function, hidden = load_function(spec, role="preprocess"), list(without)

    def apply(batch: pa.RecordBatch) -> pa.RecordBatch:
        seen = batch.drop_columns(hidden) if hidden else batch
        return call(function, seen, spec=spec, role="preprocess", show_values=show_values)

    return apply


def compile_postprocess(steps: Sequence[PostprocessStep], *, show_values: bool = False) -> Step:
    """Chain the postprocess steps into one function from output batch to output batch.

    Raises:
        StepError: A `function` step cannot be imported; as every error of a step that does not fit, with its index.
    """
    compiled: list[Step] = []
    for index, step in enumerate(steps):
        try:
            compiled.append(_compile(step, show_values))
        except StepError as error:
            raise _of_step(error, index) from error

    def apply(batch: pa.RecordBatch) -> pa.RecordBatch:
        for index, step in enumerate(compiled):
            try:
                batch = step(batch)
            except StepError as error:
                raise _of_step(error, index) from error
        return batch

    return apply


def _of_step(error: StepError, index: int) -> StepError:
    return StepError(f"postprocess[{index}]: {error.what}", details=error.details, next_step=error.next_step)


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
