"""What runs in a Python worker: the cached model meets the stream of batches. Knows nothing of Spark."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pyarrow as pa

from spark_infer.core.scoring import Model, score_batches
from spark_infer.core.stats import Stats
from spark_infer.errors import StepError, StepFailedError
from spark_infer.models.backends import load
from spark_infer.models.backends.spec import LoadedModel, LoadSpec
from spark_infer.models.place import DEVICE, Place
from spark_infer.models.recipe import Recipe
from spark_infer.models.ref import ModelRef
from spark_infer.runtime.deadline import limit
from spark_infer.runtime.device import CPU, fallbacks
from spark_infer.runtime.memory import keep_freed_memory, large_pages
from spark_infer.runtime.model_cache import ModelCache, resident_bytes
from spark_infer.runtime.output_capture import captured_output, capturing
from spark_infer.runtime.thread_limits import limit_threads

CACHE: ModelCache[LoadedModel] = ModelCache(resident_bytes)
"""The models of this process; a worker that is reused for the next task finds them here."""


def load_model(
    spec: LoadSpec, ref: ModelRef, folder: Callable[[], Path], stats: Stats, *, cache_bytes: int
) -> LoadedModel:
    """Return a model, loaded once in this process.

    Args:
        spec: How to load it.
        ref: Which model.
        folder: Finds its verified files on this node; called only when it must be loaded.
        stats: Takes loads, hits and seconds.
        cache_bytes: How much the cache may hold.

    Raises:
        ModelLoadError: It does not load.
    """
    return CACHE.get(
        spec.key(ref.digest),
        lambda: _load(spec, folder()),
        size_bytes=ref.size_bytes if spec.artefact is None else spec.artefact.size_bytes,
        max_bytes=cache_bytes,
        stats=stats,
        address=spec.address,
    )


def _load(spec: LoadSpec, folder: Path) -> LoadedModel:
    """Load a model in this process, or in one of its own where CUDA is bound to another GPU here."""
    with captured_output():
        return _loaded(spec, folder)


def _loaded(spec: LoadSpec, folder: Path) -> LoadedModel:
    if spec.device == CPU:
        return load(spec, folder)
    if not DEVICE.is_reachable:
        from spark_infer.models.host import HostedModel

        return HostedModel(spec, folder)
    DEVICE.use()
    return load(spec, folder)


def score_table_batches(
    recipe: Recipe,
    folder: Callable[[], Path],
    batches: Iterable[pa.RecordBatch],
    place: Place,
    *,
    stats_column: str | None = None,
    stats: Stats | None = None,
) -> Iterator[pa.RecordBatch]:
    """Score batches of a table: the kept columns bit for bit, then the prediction columns.

    Args:
        recipe: How to score.
        folder: Finds the model's files on this node.
        batches: Record batches of the table.
        place: What Spark assigned to the task.
        stats_column: Name of a further column that carries what scoring cost (`core.stats.STATS_TYPE`).
        stats: Takes what scoring cost, where no column does.
    """
    stats = stats or Stats()
    for batch, outputs in _scored(recipe, folder, batches, place, stats):
        arrays = [*(batch.column(name) for name in recipe.keep), *outputs.columns]
        names = [*recipe.keep, *outputs.schema.names]
        if stats_column is not None:
            arrays.append(stats.take_column(batch.num_rows))
            names.append(stats_column)
        yield pa.RecordBatch.from_arrays(arrays, names=names)


def score_column(
    recipe: Recipe, folder: Callable[[], Path], batches: Iterable[pa.RecordBatch], place: Place
) -> Iterator[pa.RecordBatch]:
    """Score batches that hold nothing but the model's columns; yields the prediction columns alone."""
    for _, outputs in _scored(recipe, folder, batches, place, Stats()):
        yield outputs


def _scored(
    recipe: Recipe, folder: Callable[[], Path], batches: Iterable[pa.RecordBatch], place: Place, stats: Stats
) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:
    return capturing(_scored_aloud(recipe, folder, batches, place, stats))


def _scored_aloud(
    recipe: Recipe, folder: Callable[[], Path], batches: Iterable[pa.RecordBatch], place: Place, stats: Stats
) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:
    stats.retries = place.attempt
    keep_freed_memory()
    # Before the user's functions are imported, which may import a framework.
    large_pages()
    place.bind()
    spec = place.load_spec(recipe.load)
    try:
        steps = recipe.compile()
    except StepError as error:
        raise StepFailedError(error.what, details=["it was found on the driver"], next_step=error.next_step) from None

    def get_model() -> Model:
        # Before, for libraries that read their variables when they are loaded; after, for those just loaded.
        limit_threads(spec.threads, loaded=False)
        before, loads = fallbacks(), stats.loads
        with limit("load", recipe.options.load_seconds):
            model = load_model(spec, recipe.ref, folder, stats, cache_bytes=recipe.options.cache_bytes)
        place.note_loads(stats.loads)
        stats.fallbacks += fallbacks() - before
        limit_threads(spec.threads, loaded=stats.loads > loads)
        return model

    yield from score_batches(batches, get_model, steps, stats)
    if stats.loads:
        _spare_collections()


def _spare_collections() -> None:
    """Keep what stays for the life of this worker, models and libraries, out of Python's garbage collections.

    PySpark collects after every task, which takes a tenth of a second once a framework is imported. The cache thaws
    everything before it lets a model go.
    """
    gc.collect()
    gc.freeze()
