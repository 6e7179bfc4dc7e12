"""The parity gate: both models answer real rows, and every answer is compared."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import pyarrow as pa

from spark_infer.core.difference import Difference, worst_difference
from spark_infer.core.scoring import score_batches
from spark_infer.core.scoring_steps import Model, ScoringSteps
from spark_infer.core.stats import Stats
from spark_infer.errors import ModelRefusedError, RunError
from spark_infer.models.sample_rows import Sample


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
