"""From a recipe to one that the compiled model serves: converted, held to the original's answers, or refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from spark_infer.core.convert import project
from spark_infer.core.scoring_steps import ScoringSteps
from spark_infer.core.stats import Stats
from spark_infer.errors import ModelRefusedError, RunError
from spark_infer.models.backends.choose_backend import Choice
from spark_infer.models.backends.spec import LoadedModel, LoadSpec
from spark_infer.models.compile import estimators, texts
from spark_infer.models.compile.agreement import Agreement
from spark_infer.models.compile.parity import Parity, check_parity
from spark_infer.models.files.store import ModelStore
from spark_infer.models.sample_rows import Sample
from spark_infer.models.worker import load_model

if TYPE_CHECKING:
    from spark_infer.models.recipe import Recipe

_ESTIMATORS = ("lightgbm", "sklearn", "xgboost")
_OF_TEXTS = ("sentence_transformers", "transformers")
_OF_TORCH = (*_OF_TEXTS, "pytorch")
_TAKES = {
    "onnx": (*_ESTIMATORS, *_OF_TEXTS),
    "llvm": ("lightgbm",),
    "int8": _OF_TEXTS,
    "bfloat16": _OF_TORCH,
    "float16": _OF_TORCH,
}
"""The backends whose models can be compiled to something."""

_DEEP = {
    "onnx": Agreement(bound=1e-4, cosine=0.9999),
    "int8": Agreement(bound=0.1, cosine=0.95, equal_labels=0.98),
    "bfloat16": Agreement(bound=0.05, cosine=0.99, equal_labels=0.99),
    "float16": Agreement(bound=0.01, cosine=0.999, equal_labels=0.99),
}
"""What is asked of a deep model, and of its embeddings."""

_DEEP_ROWS = 256
"""How many rows of a deep model are compared: the driver predicts them twice, on the CPU."""


def refuse_uncompilable(choice: Choice, to: str) -> None:
    """Refuse a model that cannot be compiled.

    Raises:
        ModelRefusedError: Its backend is not one of those that can be.
    """
    if choice.backend in _TAKES[to]:
        return
    raise ModelRefusedError(
        f"`compile: {to}` takes models of {', '.join(_TAKES[to])}; this one is served by {choice.backend!r} "
        f"({choice.reason}).",
        next_step="leave `compile` out.",
    )


def runs_on_gpu(choice: Choice, to: str) -> bool:
    """Whether a model that is compiled has use for a GPU."""
    return choice.backend in _OF_TORCH and to != "int8"


def compile_recipe(
    recipe: Recipe, original: LoadedModel, store: ModelStore, take_sample: Callable[[], Sample]
) -> Recipe:
    """Return the recipe for the compiled model, once it answered a sample of the table as the original does.

    A sample without rows leaves the original to serve, and says so: there is nothing to compare, and nothing to score.

    Args:
        recipe: The scoring by the original, whose options ask for compilation.
        original: The model, loaded here.
        store: The driver's store.
        take_sample: Reads real rows of the table.

    Raises:
        ModelRefusedError: The model cannot be converted, or answers otherwise.
        EnvironmentProblem: The converters are not installed, or the store cannot be used.
    """
    options = recipe.options.compile
    if options is None:
        raise ValueError("the recipe does not ask for compilation")
    refuse_uncompilable(recipe.choice, options.to)
    sample = take_sample()
    if not sample.rows:
        reason = f"{recipe.choice.reason}; not compiled, since the table has no rows to compare"
        return replace(recipe, choice=replace(recipe.choice, reason=reason))
    deep = recipe.choice.backend in _OF_TORCH
    agreement = _asked_of(recipe.choice, options.to).stated(options)
    sample = sample.first(_DEEP_ROWS) if deep else sample
    steps = recipe.compile()
    load = _compiled(recipe, options.to, original, steps, sample, store, agreement)

    def load_compiled() -> LoadedModel:
        return load_model(
            load,
            recipe.ref,
            lambda: store.path(load.files(recipe.ref.digest)),
            Stats(),
            cache_bytes=recipe.options.cache_bytes,
        )

    found = check_parity(original, load_compiled, steps, sample, to=options.to, agreement=agreement)
    parity = Parity(to=options.to, original=recipe.choice.backend, agreement=agreement, rows=sample.rows, found=found)
    choice = Choice(backend=load.backend, reason=f"{recipe.choice.backend} compiled to {options.to}, as asked for")
    return replace(recipe, load=load, choice=choice, parity=parity)


def _asked_of(choice: Choice, to: str) -> Agreement:
    """What is asked of a compiled model where the user states nothing."""
    if choice.backend not in _OF_TORCH:
        return Agreement()
    # Lists of other models may be scores, or hold one number, whose direction says nothing.
    return _DEEP[to] if choice.backend == "sentence_transformers" else replace(_DEEP[to], cosine=None)


def _compiled(
    recipe: Recipe,
    to: str,
    original: LoadedModel,
    steps: ScoringSteps,
    sample: Sample,
    store: ModelStore,
    agreement: Agreement,
) -> LoadSpec:
    """How the compiled model is loaded."""
    if to in ("bfloat16", "float16"):
        return replace(recipe.load, dtype=to)
    if recipe.choice.backend in _OF_TEXTS:
        return texts.compiled_spec(recipe, original, _inputs(steps, sample.batches), store)
    first = next(batch for batch in sample.batches if batch.num_rows)
    return estimators.compiled_spec(recipe, original, _one_row(_inputs(steps, [first])), store, agreement)


def _inputs(steps: ScoringSteps, batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    """Rows of the table as the model's inputs."""
    try:
        return pa.concat_batches(
            [project(rows if steps.preprocess is None else steps.preprocess(rows), steps.binding) for rows in batches]
        )
    except RunError as error:
        raise ModelRefusedError(
            "Rows of the table cannot be given to the model.",
            details=[error.what, *error.details],
            next_step=error.next_step,
        ) from error


def _one_row(inputs: pa.RecordBatch) -> pa.RecordBatch:
    """The first row that misses nothing, where there is one."""
    whole = np.ones(inputs.num_rows, bool)
    for column in inputs.columns:
        missing = column.is_null(nan_is_null=True).to_numpy(zero_copy_only=False)
        whole &= ~missing
    return inputs.slice(int(np.argmax(whole)), 1)
