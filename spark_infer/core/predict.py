"""From model inputs to raw outputs: the calls of the model, each limited, counted and halved where memory runs out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import pyarrow as pa

from spark_infer.core.buckets import PreparingModel, predict_in_buckets, prepares
from spark_infer.core.exception_text import describe_exception
from spark_infer.core.memory_ceiling import predict_in_pieces
from spark_infer.core.outputs import Predictions, to_batch
from spark_infer.core.row_order import NEXT_STEP, Echoes, named
from spark_infer.core.scoring_steps import Model, ScoringSteps
from spark_infer.core.stats import Stats
from spark_infer.errors import PredictError, RowOrderError, SparkInferError

_Answer = TypeVar("_Answer")


def predict(inputs: pa.RecordBatch, model: Model, steps: ScoringSteps, stats: Stats) -> pa.RecordBatch:
    """Return the raw outputs of model inputs, in their order.

    Raises:
        PredictError: The model raised.
        PredictionShapeError: It returned the wrong rows, columns or types.
        RowOrderError: It answered its rows in another order.
    """
    if prepares(model):
        raw = _prepared_and_predicted(inputs, model, steps, stats)
    else:
        raw = predict_in_pieces(inputs, lambda rows: _called(model.predict, rows, steps, stats), steps.ceiling, stats)
    steps.seen(raw)
    if steps.echoes is not None:
        _require_order(steps.echoes, inputs, raw, model, steps)
    return raw


def _prepared_and_predicted(
    inputs: pa.RecordBatch, model: PreparingModel, steps: ScoringSteps, stats: Stats
) -> pa.RecordBatch:
    with stats.timing("prepare"), steps.predict_limit():
        prepared = _guarded(model.prepare, inputs, steps)
    return predict_in_buckets(
        prepared,
        lambda rows: _called(model.predict_prepared, rows, steps, stats),
        batch_cost=model.batch_cost,
        most_rows=steps.batch_size,
        ceiling=steps.ceiling,
        stats=stats,
    )


def _called(
    ask: Callable[[pa.RecordBatch], Predictions], rows: pa.RecordBatch, steps: ScoringSteps, stats: Stats
) -> pa.RecordBatch:
    with stats.timing("predict"), steps.predict_limit():
        predictions = _guarded(ask, rows, steps)
    stats.predicted += rows.num_rows
    stats.batches += 1
    stats.rows_squared += rows.num_rows**2
    with stats.timing("encode"):
        return to_batch(predictions, steps.raw_outputs, rows.num_rows)


def _require_order(
    echoes: Echoes, inputs: pa.RecordBatch, raw: pa.RecordBatch, model: Model, steps: ScoringSteps
) -> None:
    def answered(rows: pa.RecordBatch) -> pa.RecordBatch:
        return to_batch(_guarded(model.predict, rows, steps), steps.raw_outputs, rows.num_rows)

    moved = echoes.moved(inputs, raw, answered)
    if moved:
        raise RowOrderError(
            f"Model {steps.label} answers its rows in another order: the values of {named(moved)} belong to other rows "
            f"of a batch of {inputs.num_rows} rows.",
            next_step=NEXT_STEP,
        )


def _guarded(ask: Callable[[pa.RecordBatch], _Answer], rows: pa.RecordBatch, steps: ScoringSteps) -> _Answer:
    try:
        return ask(rows)
    except (SparkInferError, KeyboardInterrupt):
        raise
    except BaseException as error:  # the model's code may raise one of its own
        raise PredictError(
            f"Model {steps.label} raised on a batch of {rows.num_rows} rows.",
            details=[*describe_exception(error, show_values=steps.show_values), *steps.binding.absent_warnings()],
            next_step=("rename or add the column, or " if steps.binding.absent else "")
            + "call the model on a few of these rows in plain Python to see the cause.",
        ) from None
