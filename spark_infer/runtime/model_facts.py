"""What one process tells another of the model that it has loaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from spark_infer.runtime.process_state import this_process


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """A loaded model, as far as scoring asks; plain values.

    Attributes:
        how: How batches reach it.
        outputs: Columns it returns, where it knows.
        fallbacks: How many models of its process fell back to the CPU.
        by_row: Whether the answer for a row is known to depend on that row alone.
        batch_rows: Rows of the batches that it is fastest with; None for the usual ones.
        batch_cost: What a batch takes at most, where it prepares its rows (`core.buckets`).
    """

    how: str
    outputs: pa.Schema | None
    fallbacks: int
    by_row: bool
    batch_rows: int | None
    batch_cost: int | None

    @classmethod
    def of(cls, model: Any) -> ModelFacts:
        """Return those of a model that this process has loaded."""
        return cls(
            how=model.how,
            outputs=model.outputs(),
            fallbacks=this_process().device.fallbacks,
            by_row=bool(getattr(model, "by_row", False)),
            batch_rows=getattr(model, "batch_rows", None),
            batch_cost=getattr(model, "batch_cost", None),
        )

    def note_fallbacks(self) -> None:
        """Count in this process too that the model of the other one runs on the CPU, where a GPU was asked for."""
        for _ in range(self.fallbacks):
            this_process().device.fall_back("the framework sees no GPU")
