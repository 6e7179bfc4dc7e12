"""What a scoring is made of: a loaded model, and the steps around it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Protocol

import pyarrow as pa

from spark_infer.config.expect import ExpectedColumn
from spark_infer.core.bad_rows import BadRowLimits
from spark_infer.core.batch_search import BatchSearch
from spark_infer.core.binding import Binding
from spark_infer.core.memory_ceiling import MemoryCeiling
from spark_infer.core.outputs import Predictions
from spark_infer.core.prediction_cache import PredictionCache
from spark_infer.core.row_order import Echoes
from spark_infer.core.steps import Step


class Model(Protocol):
    """A loaded model, ready to predict."""

    def predict(self, inputs: pa.RecordBatch) -> Predictions:
        """Predict one model batch: one value of every output for each row of ``inputs``, in the same order."""
        ...

    def close(self) -> None:
        """Give back memory and devices; the model is not used afterwards."""
        ...


@dataclass(frozen=True, kw_only=True)
class ScoringSteps:
    """The compiled steps of a scoring, the same for every batch.

    Attributes:
        label: Name and version of the model, for messages.
        binding: How table columns become model inputs.
        raw_outputs: Columns the model returns.
        outputs: Columns that are left after postprocess and renaming.
        prepared: Columns that preprocess returned for an empty batch, to which it is held; None holds it to nothing.
        preprocess: From table batch to a batch with the model's columns; None leaves the table's.
        postprocess: From the model's outputs to those wanted.
        batch_size: Rows of a model batch; None for what suits the model.
        search: Finds out how many rows of a batch the model is fast with; None where that is not wanted.
        max_batch_bytes: Bytes of a model batch.
        most_rows: Most rows that are prepared at once, whatever suits the model; None for any number.
        deduplicate: Whether equal rows are predicted once: ``never``, ``auto`` or ``always``.
        predict_limit: Surrounds each predict call, and ends what takes too long.
        show_values: Whether messages of foreign exceptions may be shown.
        echoes: Compares outputs that repeat an input with it; None leaves that out.
        bad_rows: How many rows may be left without outputs, because the model fails for them; None for none at all.
        prefetch: Whether the next batch is read and prepared in a thread of its own while the model predicts.
        any_size: Whether the model is known to take batches of any size.
        ceiling: How many rows there is memory for in one predict call.
        seen: Learns of the raw outputs of rows that are scored at once.
        expected: What the job expects of some outputs.
        cache: Answers that earlier runs have kept; None where there is no such cache.
    """

    label: str
    binding: Binding
    raw_outputs: pa.Schema
    outputs: pa.Schema
    preprocess: Step | None
    postprocess: Step
    prepared: pa.Schema | None = None
    batch_size: int | None
    search: BatchSearch | None = None
    max_batch_bytes: int
    most_rows: int | None = None
    deduplicate: str = "never"
    predict_limit: Callable[[], AbstractContextManager[None]] = nullcontext
    show_values: bool = False
    echoes: Echoes | None = None
    bad_rows: BadRowLimits | None = None
    prefetch: bool = False
    any_size: bool = False
    ceiling: MemoryCeiling = field(default_factory=MemoryCeiling)
    seen: Callable[[pa.RecordBatch], None] = lambda outputs: None
    expected: Mapping[str, ExpectedColumn] = field(default_factory=dict)
    cache: PredictionCache | None = None
