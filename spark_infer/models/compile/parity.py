"""The parity gate: both models answer real rows, and every answer is compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pyarrow as pa

from spark_infer.core.scoring import score_batches
from spark_infer.core.scoring_steps import Model, ScoringSteps
from spark_infer.core.stats import Stats
from spark_infer.errors import ModelRefusedError, RunError
from spark_infer.models.compile.agreement import Agreement, Compared, compare
from spark_infer.models.sample_rows import Sample

_NAMES = {"onnx": "ONNX", "llvm": "LLVM"}


@dataclass(frozen=True, kw_only=True)
class Parity:
    """What the parity gate found.

    Attributes:
        to: What the model was compiled to.
        original: The backend of the original.
        agreement: What was allowed.
        rows: How many rows were compared.
        found: What was seen.
    """

    to: str
    original: str
    agreement: Agreement
    rows: int
    found: Compared

    def __str__(self) -> str:
        return (
            f"to {self.to}, from {self.original}: {self.rows:,} rows compared, {self.found.described(self.agreement)}"
        )


def check_parity(
    original: Model,
    load_compiled: Callable[[], Model],
    steps: ScoringSteps,
    sample: Sample,
    *,
    to: str,
    agreement: Agreement,
) -> Compared:
    """Have both models answer a sample of real rows, and refuse the compiled one that answers otherwise.

    What the models return is compared, and what the postprocess steps make of it.

    Args:
        original: The model in its own library.
        load_compiled: Loads the same, compiled; asked when the original, which may have to make room, has answered.
        steps: The scoring.
        sample: The rows.
        to: What it was compiled to.
        agreement: How far answers may differ.

    Returns:
        What was seen of the answers themselves.

    Raises:
        ModelRefusedError: The answers differ by more; names the row's index, no value.
    """
    compared = f"the {_NAMES.get(to, to)} model"
    wanted = _answers(original, steps, sample, which="the model")
    raw = wanted, _answers(load_compiled(), steps, sample, which=compared)
    found = compare(*raw, agreement)
    _refuse(found, sample, agreement, compared, to)
    try:
        finished = compare(steps.postprocess(raw[0]), steps.postprocess(raw[1]), agreement)
        _refuse(finished, sample, agreement, f"{compared}, after postprocess,", to)
    except RunError as error:
        raise ModelRefusedError(
            "The postprocess steps failed on the rows that the compiled model is compared on.",
            details=[error.what, *error.details],
            next_step=error.next_step,
        ) from error
    return found


def _answers(model: Model, steps: ScoringSteps, sample: Sample, *, which: str) -> pa.RecordBatch:
    # Rows that the job sets aside or gives null are null here too, and must be so for both models.
    raw_steps = replace(steps, outputs=steps.raw_outputs, postprocess=lambda batch: batch)
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


def _refuse(found: Compared, sample: Sample, agreement: Agreement, compared: str, to: str) -> None:
    beyond = found.beyond(agreement)
    if beyond is None:
        return
    difference, told, key = beyond
    raise ModelRefusedError(
        f"{compared[:1].upper()}{compared[1:]} does not answer as the original does: output {difference.output!r} "
        f"{told} in row {difference.row} of the {sample.rows:,} rows compared.",
        details=[f"that is {sample.place(difference.row)}", f"allowed: {agreement}"],
        next_step=f"leave `compile` out, or state what you can accept: compile: {{to: {to}, {key}: …}}.",
    )
