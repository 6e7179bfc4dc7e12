"""Scoring as a generator: record batches in, scored record batches out. This is the whole hot path."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain

import pyarrow as pa

from spark_infer.core.bad_row_search import is_of_a_row, rows_at
from spark_infer.core.bad_rows import BadRows
from spark_infer.core.batching import model_rows, rebatch
from spark_infer.core.buckets import prepares
from spark_infer.core.casts import retype
from spark_infer.core.deduplication import Deduplication, runs
from spark_infer.core.duplicates import Groups, group_rows
from spark_infer.core.expect import Watch
from spark_infer.core.output_limit import OutputLimit
from spark_infer.core.predict import predict
from spark_infer.core.prepared_batch import PreparedBatch, model_inputs, prepared_ahead, prepared_in_turn, timed
from spark_infer.core.scoring_steps import Model, ScoringSteps
from spark_infer.core.signature import spelled
from spark_infer.core.stats import Stats
from spark_infer.errors import ModelProcessError, SparkInferError, StepFailedError, UndecodableError

Ask = Callable[[pa.RecordBatch], pa.RecordBatch]
"""From model inputs to raw outputs."""

_OUTPUT_FACTOR = 4
"""How many times the bytes of a model batch its outputs may take."""
_FEW_ROWS = 256
"""Where a model chooses its batches from many rows: how many go first, and among how many a failing row is searched."""


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
) -> Generator[ScoredBatch]:
    """Score a stream of record batches.

    The model is asked for when the first row arrives, so an empty partition loads nothing.
    """
    # What is read ahead is not waited for; what is counted there is counted by another thread.
    arriving = (batch for batch in timed(batches, Stats() if steps.prefetch else stats) if batch.num_rows)
    first = next(arriving, None)
    if first is None:
        return
    model = get_model()
    if prepares(model) or getattr(model, "batch_rows", None) == 1:
        steps = replace(steps, search=None)  # its batches are chosen by tokens, or are one row
    search = Deduplication(steps.deduplicate, by_row=bool(getattr(model, "by_row", False)), clock=stats.clock)
    rows = partial(_rows_at_once, steps, model)
    cut = rebatch(chain([first], arriving), rows=rows, max_bytes=steps.max_batch_bytes)
    first_rows = _FEW_ROWS if prepares(model) else None
    limit = OutputLimit(steps.raw_outputs, _OUTPUT_FACTOR * steps.max_batch_bytes, first_rows=first_rows)
    steps = replace(steps, seen=limit.note)
    cut = limit.cut(cut, together=lambda: search.batches if search.active else 1)
    bad = None if steps.bad_rows is None else BadRows(limits=steps.bad_rows, stats=stats, any_size=steps.any_size)
    watch = Watch(steps.outputs, steps.expected, stats)
    with closing((prepared_ahead if steps.prefetch else prepared_in_turn)(cut, steps, stats)) as prepared:
        for run in runs(prepared, search, max_bytes=steps.max_batch_bytes):
            scored = (_score_distinct if search.active else _score_each)(run, model, steps, stats, search)
            arrived = [each.rows for each in run]
            for each in scored if bad is None else _without_bad_rows(scored, arrived, bad, model, steps, stats):
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
    return _outputs(_predicted(model_inputs(batch, steps, stats), model, steps, stats), steps, stats)


def _predicted(inputs: pa.RecordBatch, model: Model, steps: ScoringSteps, stats: Stats) -> pa.RecordBatch:
    return _answered(inputs, partial(predict, model=model, steps=steps, stats=stats), steps)


def _answered(inputs: pa.RecordBatch, ask: Ask, steps: ScoringSteps) -> pa.RecordBatch:
    if steps.cache is None:
        return ask(inputs)
    raw = steps.cache.predict(inputs, ask)
    steps.seen(raw)
    return raw


def _trying(steps: ScoringSteps, *, keeps: bool) -> AbstractContextManager[None]:
    return nullcontext() if steps.cache is None else steps.cache.trying(keeps=keeps)


def _score_each(
    run: list[PreparedBatch], model: Model, steps: ScoringSteps, stats: Stats, _search: Deduplication
) -> Iterator[ScoredBatch]:
    for each in run:
        with _measured(each.rows, steps, stats):
            outputs = _outputs(_predicted(each.inputs(), model, steps, stats), steps, stats)
        yield ScoredBatch(each.rows, outputs)


def _without_bad_rows(
    scored: Iterator[ScoredBatch],
    run: list[pa.RecordBatch],
    bad: BadRows,
    model: Model,
    steps: ScoringSteps,
    stats: Stats,
) -> Iterator[ScoredBatch]:
    """Pass on what is scored; score again, batch by batch, what is left of a run that fails."""
    score = partial(score_batch, model=model, steps=steps, stats=stats)
    done, ended = 0, None
    try:
        with _trying(steps, keeps=False):
            bad.probe(run[0], score)
        for each in scored:
            done, bad.rows = done + 1, bad.rows + each.rows.num_rows
            yield each
        return
    except SparkInferError as error:
        if not is_of_a_row(error):
            raise
        # To see a process end again takes seconds, and to see it hang again as long as the first time.
        ended = error if len(run) == 1 and (isinstance(error, ModelProcessError) or _names_all(error, run[0])) else None
    left = run[done:]
    if prepares(model) and sum(batch.num_rows for batch in left) > _FEW_ROWS:
        # A window holds many model batches, of which all but a few do not fail.
        left, ended = [*rebatch(left, rows=_FEW_ROWS, max_bytes=steps.max_batch_bytes)], None
    for batch in left:
        with _trying(steps, keeps=True):
            answered = bad.score(batch, score, steps.outputs, failed=ended)
        yield ScoredBatch(batch, *answered)


def _names_all(error: SparkInferError, batch: pa.RecordBatch) -> bool:
    """Whether an error of decoding names all rows of a batch that cannot be decoded, and not those of a part."""
    return isinstance(error, UndecodableError) and error.rows == batch.num_rows


@contextmanager
def _measured(batch: pa.RecordBatch, steps: ScoringSteps, stats: Stats) -> Iterator[None]:
    """Tell the search for a batch size, if there is one, what a batch takes."""
    began, found_before = stats.clock(), stats.prediction_cache_hits
    yield
    predicted_all = stats.prediction_cache_hits == found_before
    if steps.search is not None and not steps.search.found and predicted_all:
        steps.search.note(batch.num_rows, stats.clock() - began, ceiling=steps.ceiling.rows)
        if steps.search.found:
            stats.batch_choices[steps.search.found] += 1


def _rows_at_once(steps: ScoringSteps, model: Model) -> int:
    if steps.search is not None:
        return min(steps.search.rows, steps.most_rows or steps.search.rows)
    return model_rows(None if prepares(model) else steps.batch_size, model, most=steps.most_rows)


def _score_distinct(
    run: list[PreparedBatch], model: Model, steps: ScoringSteps, stats: Stats, search: Deduplication
) -> Iterator[ScoredBatch]:
    """Score a run of batches, each of its distinct rows once; those of earlier runs are known."""
    inputs = [each.inputs() for each in run]
    began = stats.clock()
    with stats.timing("prepare"):
        whole = pa.concat_batches(inputs)
        groups = group_rows(whole)
    if groups is None:
        search.active = False
        groups = Groups.of_one(whole.num_rows)
    distinct = whole if len(groups.first) == whole.num_rows else whole.take(groups.first)
    predicted, seconds = 0, 0.0

    def predict_rows(rows: pa.RecordBatch) -> pa.RecordBatch:
        nonlocal predicted, seconds
        start, at = stats.clock(), 0
        answered = []
        for piece in rebatch([rows], rows=partial(_rows_at_once, steps, model), max_bytes=steps.max_batch_bytes):
            with _measured(piece, steps, stats), rows_at(range(at, at + piece.num_rows)):
                answered.append(predict(piece, model, steps, stats))
            at += piece.num_rows
        answers = pa.concat_batches(answered)
        predicted, seconds = predicted + rows.num_rows, seconds + stats.clock() - start
        return answers

    answer_rows = partial(_answered, ask=predict_rows, steps=steps)
    knows = bool(search.known)
    with rows_at(groups.first.to_numpy()):
        raw = search.known.predict(distinct, answer_rows) if knows else answer_rows(distinct)
    # What the cache answers says nothing of what it takes to predict.
    judges = search.active and (predicted > 0 or steps.cache is None)
    if judges:
        grouping = stats.clock() - began - seconds
        search.measure(rows=whole.num_rows, predicted=predicted, grouping=grouping, predict=seconds)
    if judges and search.active and not knows and search.known.active:
        search.known.keep(distinct, raw, row_seconds=search.row_seconds)
    start = 0
    for each in run:
        with stats.timing("encode"):
            taken = raw.take(groups.group.slice(start, each.rows.num_rows))
        start += each.rows.num_rows
        yield ScoredBatch(each.rows, _outputs(taken, steps, stats))


def _outputs(raw: pa.RecordBatch, steps: ScoringSteps, stats: Stats) -> pa.RecordBatch:
    with stats.timing("encode"):
        outputs = _promised(steps.postprocess(raw), steps.outputs)
    stats.rows += raw.num_rows
    return outputs


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
