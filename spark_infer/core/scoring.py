"""Scoring as a generator: record batches in, scored record batches out. This is the whole hot path."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from itertools import chain
from typing import Protocol

import pyarrow as pa

from spark_infer.config.expect import ExpectedColumn
from spark_infer.core.bad_rows import BadRowLimits, BadRows, is_of_a_row
from spark_infer.core.batching import model_rows, rebatch
from spark_infer.core.binding import Binding
from spark_infer.core.casts import retype
from spark_infer.core.convert import project
from spark_infer.core.duplicates import Deduplication, Groups, group_rows, runs
from spark_infer.core.exception_text import describe_exception
from spark_infer.core.expect import Watch
from spark_infer.core.memory_ceiling import MemoryCeiling, predict_in_pieces
from spark_infer.core.outputs import Predictions, to_batch
from spark_infer.core.row_order import NEXT_STEP, Echoes, named
from spark_infer.core.signature import spelled
from spark_infer.core.stats import Stats
from spark_infer.core.steps import Step
from spark_infer.errors import ModelProcessError, PredictError, RowOrderError, SparkInferError, StepFailedError


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
        max_batch_bytes: Bytes of a model batch.
        deduplicate: Whether equal rows are predicted once: ``never``, ``auto`` or ``always``.
        predict_limit: Surrounds each predict call, and ends what takes too long.
        show_values: Whether messages of foreign exceptions may be shown.
        echoes: Compares outputs that repeat an input with it; None leaves that out.
        bad_rows: How many rows may be left without outputs, because the model fails for them; None for none at all.
        ceiling: How many rows there is memory for in one predict call.
        expected: What the job expects of some outputs.
    """

    label: str
    binding: Binding
    raw_outputs: pa.Schema
    outputs: pa.Schema
    preprocess: Step | None
    postprocess: Step
    prepared: pa.Schema | None = None
    batch_size: int | None
    max_batch_bytes: int
    deduplicate: str = "never"
    predict_limit: Callable[[], AbstractContextManager[None]] = nullcontext
    show_values: bool = False
    echoes: Echoes | None = None
    bad_rows: BadRowLimits | None = None
    ceiling: MemoryCeiling = field(default_factory=MemoryCeiling)
    expected: Mapping[str, ExpectedColumn] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ScoredBatch:
    """A model batch with what the model said of it.

    Attributes:
        rows: The table's columns, untouched.
        outputs: The prediction columns: as many rows, in the same order; null where there is an error.
        errors: Why a row has no prediction (`core.bad_rows.ERROR_TYPE`), null for all others; None where all have one.
    """

    rows: pa.RecordBatch
    outputs: pa.RecordBatch
    errors: pa.Array | None = None


def score_batches(
    batches: Iterable[pa.RecordBatch],
    get_model: Callable[[], Model],
    steps: ScoringSteps,
    stats: Stats,
) -> Iterator[ScoredBatch]:
    """Score a stream of record batches.

    The model is asked for when the first row arrives, so an empty partition loads nothing.
    """
    arriving = (batch for batch in _timed(batches, stats) if batch.num_rows)
    first = next(arriving, None)
    if first is None:
        return
    model = get_model()
    rows = model_rows(steps.batch_size, model)
    search = Deduplication(steps.deduplicate, by_row=bool(getattr(model, "by_row", False)))
    cut = rebatch(chain([first], arriving), rows=rows, max_bytes=steps.max_batch_bytes)
    bad = None if steps.bad_rows is None else BadRows(limits=steps.bad_rows, stats=stats)
    watch = Watch(steps.outputs, steps.expected, stats)
    for run in runs(cut, search, max_bytes=steps.max_batch_bytes):
        scored = (_score_distinct if search.active else _score_each)(run, model, steps, stats, search)
        for each in scored if bad is None else _without_bad_rows(scored, run, bad, model, steps, stats):
            watch.look(each.outputs, each.errors)
            yield each


def score_batch(batch: pa.RecordBatch, model: Model, steps: ScoringSteps, stats: Stats) -> pa.RecordBatch:
    """Score one model batch and return its outputs.

    Raises:
        InputValueError: A value has no place in the model's input type.
        PredictError: The model raised.
        PredictionShapeError: The model returned the wrong rows, columns or types.
        StepFailedError: A preprocess or postprocess step failed.
    """
    return _outputs(_raw(_inputs(batch, steps, stats), model, steps, stats), steps, stats)


def _score_each(
    run: list[pa.RecordBatch], model: Model, steps: ScoringSteps, stats: Stats, _search: Deduplication
) -> Iterator[ScoredBatch]:
    for batch in run:
        yield ScoredBatch(batch, score_batch(batch, model, steps, stats))


def _without_bad_rows(
    scored: Iterator[ScoredBatch],
    run: list[pa.RecordBatch],
    bad: BadRows,
    model: Model,
    steps: ScoringSteps,
    stats: Stats,
) -> Iterator[ScoredBatch]:
    """Pass on what is scored; score again, batch by batch, what is left of a run that fails."""
    done, ended = 0, None
    try:
        for each in scored:
            done, bad.rows = done + 1, bad.rows + each.rows.num_rows
            yield each
        return
    except SparkInferError as error:
        if not is_of_a_row(error):
            raise
        # To see a process end again takes seconds, and to see it hang again as long as the first time.
        ended = error if isinstance(error, ModelProcessError) and len(run) == 1 else None
    for batch in run[done:]:
        found = bad.score(batch, lambda part: score_batch(part, model, steps, stats), steps.outputs, failed=ended)
        yield ScoredBatch(batch, *found)


def _score_distinct(
    run: list[pa.RecordBatch], model: Model, steps: ScoringSteps, stats: Stats, search: Deduplication
) -> Iterator[ScoredBatch]:
    """Score a run of batches, each of its distinct rows once."""
    inputs = [_inputs(batch, steps, stats) for batch in run]
    began = stats.clock()
    with stats.timing("prepare"):
        whole = pa.concat_batches(inputs)
        groups = group_rows(whole)
    if groups is None:
        search.active = False
        groups = Groups.of_one(whole.num_rows)
    grouped = stats.clock()
    distinct = whole if len(groups.first) == whole.num_rows else whole.take(groups.first)
    pieces = rebatch([distinct], rows=model_rows(steps.batch_size, model), max_bytes=steps.max_batch_bytes)
    raw = pa.concat_batches([_raw(piece, model, steps, stats) for piece in pieces])
    if search.active:
        seconds = {"grouping": grouped - began, "predict": stats.clock() - grouped}
        search.measure(rows=whole.num_rows, distinct=distinct.num_rows, **seconds)
    start = 0
    for batch in run:
        with stats.timing("encode"):
            taken = raw.take(groups.group.slice(start, batch.num_rows))
        start += batch.num_rows
        yield ScoredBatch(batch, _outputs(taken, steps, stats))


def _inputs(batch: pa.RecordBatch, steps: ScoringSteps, stats: Stats) -> pa.RecordBatch:
    with stats.timing("prepare"):
        return project(_prepared(batch, steps), steps.binding)


def _raw(inputs: pa.RecordBatch, model: Model, steps: ScoringSteps, stats: Stats) -> pa.RecordBatch:
    return predict_in_pieces(inputs, lambda rows: _predicted(rows, model, steps, stats), steps.ceiling, stats)


def _predicted(inputs: pa.RecordBatch, model: Model, steps: ScoringSteps, stats: Stats) -> pa.RecordBatch:
    with stats.timing("predict"), steps.predict_limit():
        predictions = _predict(model, inputs, steps)
    stats.predicted += inputs.num_rows
    stats.batches += 1
    with stats.timing("encode"):
        raw = to_batch(predictions, steps.raw_outputs, inputs.num_rows)
    if steps.echoes is not None:
        _require_order(steps.echoes, inputs, raw, model, steps)
    return raw


def _require_order(
    echoes: Echoes, inputs: pa.RecordBatch, raw: pa.RecordBatch, model: Model, steps: ScoringSteps
) -> None:
    def predict(rows: pa.RecordBatch) -> pa.RecordBatch:
        return to_batch(_predict(model, rows, steps), steps.raw_outputs, rows.num_rows)

    moved = echoes.moved(inputs, raw, predict)
    if moved:
        raise RowOrderError(
            f"Model {steps.label} answers its rows in another order: the values of {named(moved)} belong to other rows "
            f"of a batch of {inputs.num_rows} rows.",
            next_step=NEXT_STEP,
        )


def _outputs(raw: pa.RecordBatch, steps: ScoringSteps, stats: Stats) -> pa.RecordBatch:
    with stats.timing("encode"):
        outputs = _promised(steps.postprocess(raw), steps.outputs)
    stats.rows += raw.num_rows
    return outputs


def _prepared(batch: pa.RecordBatch, steps: ScoringSteps) -> pa.RecordBatch:
    if steps.preprocess is None:
        return batch
    table = steps.preprocess(batch)
    if steps.prepared is None:
        return table
    for name in steps.binding.sources:
        planned = steps.prepared.field(name).type
        found = table.schema.field(name).type if table.schema.names.count(name) == 1 else None
        if found != planned:
            got = "missing or doubled" if found is None else spelled(found)
            raise StepFailedError(
                f"Preprocess returned column {name!r} as {got}; for an empty batch it was {spelled(planned)}.",
                next_step="return the same columns and types for every batch: pa.array(values, pa.float64()).",
            )
    return table


def _promised(outputs: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Return the outputs in the order and types that were planned; Spark reads them by position."""
    if outputs.schema.equals(schema):
        return outputs
    if sorted(outputs.schema.names) == sorted(schema.names):
        try:
            arrays = [retype(outputs.column(field.name), field.type) for field in schema]
            return pa.RecordBatch.from_arrays(arrays, schema=schema)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            pass
    shown = [", ".join(f"{field.name} {spelled(field.type)}" for field in one) for one in (outputs.schema, schema)]
    raise StepFailedError(
        f"The postprocess steps returned the columns ({shown[0]}); for an empty batch they were ({shown[1]}).",
        next_step="return the same columns with the same types for every batch.",
    )


def _predict(model: Model, inputs: pa.RecordBatch, steps: ScoringSteps) -> Predictions:
    try:
        return model.predict(inputs)
    except SparkInferError:
        raise
    except (Exception, SystemExit) as error:
        raise PredictError(
            f"Model {steps.label} raised on a batch of {inputs.num_rows} rows.",
            details=[*describe_exception(error, show_values=steps.show_values), *steps.binding.absent_warnings()],
            next_step=("rename or add the column, or " if steps.binding.absent else "")
            + "call the model on a few of these rows in plain Python to see the cause.",
        ) from None


def _timed(batches: Iterable[pa.RecordBatch], stats: Stats) -> Iterator[pa.RecordBatch]:
    source = iter(batches)
    while True:
        with stats.timing("wait_for_rows"):
            batch = next(source, None)
        if batch is None:
            return
        yield batch
