"""What runs in a Python worker: the cached model meets the stream of batches. Knows nothing of Spark."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pyarrow as pa

from spark_infer.config import IsolationOptions, ScoreOptions
from spark_infer.core.bad_rows import ERROR_TYPE
from spark_infer.core.batch_search import BatchSearch
from spark_infer.core.memory_ceiling import MemoryCeiling
from spark_infer.core.prediction_cache import PredictionCache
from spark_infer.core.prefetch import choose_prefetch
from spark_infer.core.scoring import ScoredBatch, score_batches
from spark_infer.core.scoring_steps import Model
from spark_infer.core.stats import Stats
from spark_infer.errors import StepError, StepFailedError
from spark_infer.models.backends import load
from spark_infer.models.backends.native import uses_gpu
from spark_infer.models.backends.spec import LoadedModel, LoadSpec
from spark_infer.models.files.ceiling_notes import ceiling_on_this_node
from spark_infer.models.hosting import Hosting, ModelHost, executor_of, find_host
from spark_infer.models.recipe import Recipe
from spark_infer.models.ref import ModelRef
from spark_infer.runtime.assignment import Assignment
from spark_infer.runtime.device import CPU, GPU
from spark_infer.runtime.memory import keep_freed_memory, large_pages
from spark_infer.runtime.model_process import ProcessLimits
from spark_infer.runtime.output_capture import captured, captured_output, capturing
from spark_infer.runtime.process_state import this_process

if TYPE_CHECKING:
    from spark_infer.runtime.host.hosted_model import HostedModel


def load_model(
    spec: LoadSpec,
    ref: ModelRef,
    folder: Callable[[], Path],
    stats: Stats,
    *,
    cache_bytes: int,
    host: ModelHost | None = None,
) -> LoadedModel:
    """Return a model, loaded once in this process or in the host of its executor.

    Args:
        spec: How to load it.
        ref: Which model.
        folder: Finds its verified files on this node; called only when it must be loaded.
        stats: Takes loads, hits and seconds.
        cache_bytes: How much the cache may hold.
        host: The host that holds it; None for this process.

    Raises:
        ModelLoadError: It does not load.
    """
    key = spec.key(ref.digest)
    return this_process().models.get(
        key if host is None else (*key, repr(host.limits)),
        lambda: _load(spec, folder()) if host is None else host.model(_load_in_child, spec, folder),
        size_bytes=ref.size_bytes if spec.artefact is None else spec.artefact.size_bytes,
        max_bytes=cache_bytes,
        stats=stats,
        address=spec.address,
    )


def _load(spec: LoadSpec, folder: Path) -> LoadedModel:
    """Load a model in this process, or in one of its own: as asked, or where CUDA is bound to another GPU here."""
    with captured_output():
        return _loaded(spec, folder)


def _loaded(spec: LoadSpec, folder: Path) -> LoadedModel:
    if spec.isolation is not None:
        from spark_infer.runtime.isolated_model import IsolatedModel

        there = partial(_load_in_child, replace(spec, isolation=None), folder)
        return IsolatedModel(there, threads=spec.threads, limits=spec.isolation)
    if spec.device == CPU:
        return load(spec, folder)
    device = this_process().device
    if not device.is_reachable:
        from spark_infer.runtime.model_process import ModelProcess, gone_from_gpu

        there = partial(_load_in_child, spec, folder)
        return ModelProcess(there, threads=spec.threads, gone=partial(gone_from_gpu, spec.address))
    device.use()
    return load(spec, folder)


def _load_in_child(spec: LoadSpec, folder: Path) -> LoadedModel:
    if spec.accelerate:
        _tune_memory()
    return load(spec, folder)


def _tune_memory() -> None:
    """Before the model or the user's functions are imported, which may import a framework."""
    keep_freed_memory()
    large_pages()


def _load_spec(spec: LoadSpec, assigned: Assignment, options: ScoreOptions, hosting: Hosting | None) -> LoadSpec:
    """Return how the model is loaded in a task; on the CPU where its backend has no use for a GPU."""
    on_gpu = bool(assigned.addresses) and uses_gpu(spec.backend)
    return replace(
        spec,
        device=GPU if on_gpu else CPU,
        address=assigned.address if on_gpu else None,
        allow_cpu_fallback=assigned.resources.allow_cpu_fallback,
        threads=hosting.threads if hosting else assigned.cpus or spec.threads,
        hosted=hosting is not None,
        isolation=None if options.isolation is None else _process_limits(options, options.isolation),
    )


def _process_limits(options: ScoreOptions, isolation: IsolationOptions) -> ProcessLimits:
    return ProcessLimits(
        load_seconds=options.load_seconds,
        predict_seconds=options.predict_seconds,
        memory_bytes=isolation.memory_bytes,
    )


def score_table_batches(
    recipe: Recipe,
    folder: Callable[[], Path],
    batches: Iterable[pa.RecordBatch],
    assigned: Assignment,
    *,
    stats_column: str | None = None,
    stats: Stats | None = None,
) -> Iterator[pa.RecordBatch]:
    """Score batches of a table: the kept columns bit for bit, then the prediction columns.

    Args:
        recipe: How to score.
        folder: Finds the model's files on this node.
        batches: Record batches of the table.
        assigned: What Spark assigned to the task.
        stats_column: Name of a further column that carries what scoring cost (`core.stats.STATS_TYPE`).
        stats: Takes what scoring cost, where no column does.
    """
    stats = stats or Stats()
    for scored in score_rows(recipe, folder, batches, assigned, stats):
        arrays, names = scored_columns(recipe, scored)
        if stats_column is not None:
            arrays.append(stats.take_column(scored.rows.num_rows))
            names.append(stats_column)
        yield pa.RecordBatch.from_arrays(arrays, names=names)


def scored_columns(recipe: Recipe, scored: ScoredBatch) -> tuple[list[pa.Array], list[str]]:
    """Return what a target holds of scored rows: the kept columns bit for bit, then the predictions; and names."""
    arrays = [*(scored.rows.column(name) for name in recipe.keep), *scored.outputs.columns]
    names = [*recipe.keep, *scored.outputs.schema.names]
    if recipe.error_column:
        arrays.append(_errors(scored))
        names.append(recipe.error_column)
    return arrays, names


def score_column(
    recipe: Recipe, folder: Callable[[], Path], batches: Iterable[pa.RecordBatch], assigned: Assignment
) -> Iterator[pa.RecordBatch]:
    """Score batches that hold nothing but the model's columns; yields the prediction columns alone."""
    for scored in score_rows(recipe, folder, batches, assigned, Stats()):
        if recipe.error_column:
            yield scored.outputs.append_column(recipe.error_column, _errors(scored))
        else:
            yield scored.outputs


def _errors(scored: ScoredBatch) -> pa.Array:
    return pa.nulls(scored.rows.num_rows, ERROR_TYPE) if scored.errors is None else scored.errors


def score_rows(
    recipe: Recipe,
    folder: Callable[[], Path],
    batches: Iterable[pa.RecordBatch],
    assigned: Assignment,
    stats: Stats,
    *,
    cache: PredictionCache | None = None,
) -> Iterator[ScoredBatch]:
    """Score batches of a table; each batch comes with all of its columns, and with the errors of its rows.

    Args:
        recipe: How to score.
        folder: Finds the model's files on this node.
        batches: Record batches of the table.
        assigned: What Spark assigned to the task.
        stats: Takes what scoring cost.
        cache: Answers that earlier runs have kept; None where there is no such cache.
    """
    return capturing(_scored_aloud(recipe, folder, batches, assigned, stats, cache))


def _scored_aloud(
    recipe: Recipe,
    folder: Callable[[], Path],
    batches: Iterable[pa.RecordBatch],
    assigned: Assignment,
    stats: Stats,
    cache: PredictionCache | None,
) -> Iterator[ScoredBatch]:
    stats.retries = assigned.attempt
    if recipe.load.accelerate:
        _tune_memory()
    assigned.bind()
    executor = executor_of(recipe, assigned)
    spec = _load_spec(recipe.load, assigned, recipe.options, recipe.hosting if executor else None)
    host = find_host(recipe, spec, executor) if executor else None
    threads = assigned.cpus or recipe.load.threads
    model: Model | None = None
    process = this_process()
    limit = process.deadlines.limit
    load_seconds, predict_seconds = recipe.options.load_seconds, recipe.options.predict_seconds
    if spec.isolation is not None or spec.hosted:
        # The process of the model ends itself first, and the error has its stack.
        load_seconds, predict_seconds = load_seconds and 2 * load_seconds, None
    try:
        steps = recipe.compile()
    except StepError as error:
        raise StepFailedError.on_worker(error) from None

    def get_model() -> Model:
        nonlocal model
        # Before, for libraries that read their variables when they are loaded; after, for those just loaded.
        process.threads.set(threads, loaded=False)
        before, loads = process.device.fallbacks, stats.loads
        with limit("load", load_seconds):
            model = load_model(spec, recipe.ref, folder, stats, cache_bytes=recipe.options.cache_bytes, host=host)
        assigned.note_loads(stats.loads)
        stats.fallbacks += process.device.fallbacks - before
        process.threads.set(threads, loaded=stats.loads > loads)
        return model

    key = spec.key(recipe.ref.digest)
    steps = replace(
        steps,
        # Another thread may call it, also while what this one prints is not captured.
        preprocess=None if steps.preprocess is None else captured(steps.preprocess),
        predict_limit=partial(limit, "predict", predict_seconds),
        ceiling=_ceiling(key),
        search=process.batch_searches.setdefault(key, BatchSearch()) if recipe.options.batch_size == "auto" else None,
        cache=cache,
        prefetch=choose_prefetch(recipe.options.prefetch, cpus=threads, on_gpu=spec.device == GPU).is_on,
    )
    counted = False
    for scored in score_batches(batches, get_model, steps, stats):
        if not counted and getattr(model, "difference", None) is not None:
            stats.unaccelerated, counted = 1, True
        if host is not None:
            cast("HostedModel", model).add_counts(stats)
        yield scored
    if stats.loads:
        _spare_collections()


def _ceiling(key: Hashable) -> MemoryCeiling:
    known = this_process().ceilings
    if key not in known:
        known[key] = ceiling_on_this_node(key, os.environ)
    known[key].look()
    return known[key]


def _spare_collections() -> None:
    """Keep what stays for the life of this worker, models and libraries, out of Python's garbage collections.

    PySpark collects after every task, which takes a tenth of a second once a framework is imported. The cache thaws
    everything before it lets a model go.
    """
    gc.collect()
    gc.freeze()
