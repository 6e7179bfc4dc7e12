"""The parity gate: both models answer real rows, and every answer is compared."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spark_infer.core.scoring import Model, ScoringSteps, score_batches
from spark_infer.core.signature import is_list, spelled
from spark_infer.core.stats import Stats
from spark_infer.errors import ModelRefusedError, RunError
from spark_infer.models.sample_rows import Sample


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The worst difference between two batches of answers.

    Numbers differ by ``|a - b| / max(1, |a|)``; whatever else is not equal differs by infinity.

    Attributes:
        output: The column it is in; None where the batches have no rows.
        row: Index of the row.
        size: How large it is.
    """

    output: str | None = None
    row: int = 0
    size: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Parity:
    """What the parity gate found.

    Attributes:
        to: What the model was compiled to.
        original: The backend of the original.
        bound: Largest difference that was allowed.
        rows: How many rows were compared.
        worst: The largest difference that was seen.
        output: The output it was in.
    """

    to: str
    original: str
    bound: float
    rows: int
    worst: float
    output: str | None

    def __str__(self) -> str:
        where = f" in {self.output!r}" if self.worst and self.output else ""
        return (
            f"to {self.to}, from {self.original}: {self.rows:,} rows compared, labels equal, worst difference "
            f"{self.worst:.3g}{where} (bound {self.bound:g})"
        )


def worst_difference(original: pa.RecordBatch, compiled: pa.RecordBatch) -> Difference:
    """Compare two batches of answers, column by column.

    Raises:
        ModelRefusedError: A column is of a type that cannot be compared.
    """
    worst = Difference()
    for name in original.schema.names:
        sizes = _sizes(original.column(name), compiled.column(name), name)
        if len(sizes):
            row = int(np.argmax(sizes))
            if worst.output is None or sizes[row] > worst.size:
                worst = Difference(output=name, row=row, size=float(sizes[row]))
    return worst


def check_parity(
    original: Model, compiled: Model, steps: ScoringSteps, sample: Sample, *, bound: float, compared: str
) -> Difference:
    """Have both models answer a sample of real rows, and refuse the compiled one that answers otherwise.

    What the models return is compared, and what the postprocess steps make of it.

    Args:
        original: The model in its own library.
        compiled: The same, compiled.
        steps: The scoring.
        sample: The rows.
        bound: Largest difference of a number.
        compared: How to name the compiled model.

    Returns:
        The worst difference.

    Raises:
        ModelRefusedError: A label differs, or a number by more than the bound; names the row's index, no value.
    """
    raw = _answers(original, steps, sample, which="the model"), _answers(compiled, steps, sample, which=compared)
    worst = worst_difference(*raw)
    _refuse(worst, sample, bound, compared)
    try:
        _refuse(worst_difference(*map(steps.postprocess, raw)), sample, bound, f"{compared}, after postprocess,")
    except RunError as error:
        raise ModelRefusedError(
            "The postprocess steps failed on the rows that the compiled model is compared on.",
            details=[error.what, *error.details],
            next_step=error.next_step,
        ) from error
    return worst


def _answers(model: Model, steps: ScoringSteps, sample: Sample, *, which: str) -> pa.RecordBatch:
    raw_steps = replace(steps, outputs=steps.raw_outputs, postprocess=lambda batch: batch, bad_rows=None)
    try:
        answers = [scored.outputs for scored in score_batches(sample.batches, lambda: model, raw_steps, Stats())]
    except RunError as error:
        raise ModelRefusedError(
            f"The compiled model cannot be compared with the original: {which} fails on rows of the table.",
            details=[error.what, *error.details],
            next_step=error.next_step,
        ) from error
    table = pa.Table.from_batches(answers, schema=steps.raw_outputs).combine_chunks()
    return table.to_batches()[0] if table.num_rows else pa.RecordBatch.from_pylist([], schema=steps.raw_outputs)


def _refuse(worst: Difference, sample: Sample, bound: float, compared: str) -> None:
    if worst.size <= bound:
        return
    told = f"differs by {worst.size:.3g}" if math.isfinite(worst.size) else "is another"
    raise ModelRefusedError(
        f"{compared[:1].upper()}{compared[1:]} does not answer as the original does: output {worst.output!r} {told} in "
        f"row {worst.row} of the {sample.rows:,} rows compared.",
        details=[
            f"that is {sample.place(worst.row)}",
            f"allowed: equal labels, and numbers within {bound:g} (relative above 1)",
        ],
        next_step="leave `compile` out, or state a bound that you can accept: compile: {to: onnx, bound: …}.",
    )


def _sizes(a: pa.Array, b: pa.Array, name: str) -> npt.NDArray[np.float64]:
    """How much each row differs."""
    if is_list(a.type):
        return _list_sizes(a, b, name)
    if pa.types.is_nested(a.type):
        raise ModelRefusedError(
            f"Output {name!r} is {spelled(a.type)}, which the parity gate of `compile` cannot compare.",
            next_step="leave `compile` out.",
        )
    missing_a, missing_b = (each.is_null().to_numpy(zero_copy_only=False) for each in (a, b))
    x, y = (each.to_numpy(zero_copy_only=False) for each in (a, b))
    sizes = _number_sizes(x, y) if pa.types.is_floating(a.type) else np.where(x == y, 0.0, math.inf)
    sizes = np.where(missing_a & missing_b, 0.0, sizes)
    return np.where(missing_a ^ missing_b, math.inf, sizes)


def _number_sizes(x: npt.NDArray[Any], y: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    x, y = x.astype(np.float64), y.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        sizes = np.abs(x - y) / np.maximum(1.0, np.abs(x))
    same = (x == y) | (np.isnan(x) & np.isnan(y))  # infinities too
    return np.where(same, 0.0, np.where(np.isnan(sizes), math.inf, sizes))


def _list_sizes(a: pa.Array, b: pa.Array, name: str) -> npt.NDArray[np.float64]:
    lengths = [each.value_lengths().fill_null(-1).to_numpy(zero_copy_only=False) for each in (a, b)]
    other = lengths[0] != lengths[1]
    if other.any():
        return np.where(other, math.inf, 0.0)
    inner = _sizes(a.flatten(), b.flatten(), name)
    rows = np.repeat(np.arange(len(a)), np.maximum(lengths[0], 0))
    sizes = np.zeros(len(a))
    np.maximum.at(sizes, rows, inner)
    return sizes
