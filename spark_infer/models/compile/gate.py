"""From a recipe to one that the compiled model serves: converted, held to the original's answers, or refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from spark_infer.core.convert import project
from spark_infer.core.scoring_steps import ScoringSteps
from spark_infer.core.stats import Stats
from spark_infer.errors import ModelRefusedError, RunError
from spark_infer.models.backends.choose_backend import Choice
from spark_infer.models.backends.spec import COMPILED, LoadedModel
from spark_infer.models.compile.artefact import compiled_spec
from spark_infer.models.compile.parity import Parity, check_parity
from spark_infer.models.files.store import ModelStore
from spark_infer.models.sample_rows import Sample
from spark_infer.models.worker import load_model

if TYPE_CHECKING:
    from spark_infer.models.recipe import Recipe

_FLAVORS = ("lightgbm", "sklearn", "xgboost")


def refuse_uncompilable(choice: Choice) -> None:
    """Refuse a model that no converter is known for.

    Raises:
        ModelRefusedError: Its backend is not one of those that can be compiled.
    """
    if choice.backend in _FLAVORS:
        return
    raise ModelRefusedError(
        f"`compile` takes models of scikit-learn, XGBoost and LightGBM; this one is served by {choice.backend!r} "
        f"({choice.reason}).",
        next_step="leave `compile` out.",
    )


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
    refuse_uncompilable(recipe.choice)
    sample = take_sample()
    if not sample.rows:
        reason = f"{recipe.choice.reason}; not compiled, since the table has no rows to compare"
        return replace(recipe, choice=replace(recipe.choice, reason=reason))
    steps = recipe.compile()
    load = compiled_spec(recipe, original, _some_inputs(steps, sample), store)
    model = load_model(
        load,
        recipe.ref,
        lambda: store.path(load.files(recipe.ref.digest)),
        Stats(),
        cache_bytes=recipe.options.cache_bytes,
    )
    worst = check_parity(
        original, model, steps, sample, bound=options.bound, compared=f"the {options.to.upper()} model"
    )
    parity = Parity(
        to=options.to,
        original=recipe.choice.backend,
        bound=options.bound,
        rows=sample.rows,
        worst=worst.size,
        output=worst.output,
    )
    choice = Choice(backend=COMPILED, reason=f"{recipe.choice.backend} compiled to {options.to}, as asked for")
    return replace(recipe, load=load, choice=choice, parity=parity)


def _some_inputs(steps: ScoringSteps, sample: Sample) -> pa.RecordBatch:
    """One row of a sample as the model's inputs: the first that misses nothing, where there is one."""
    rows = next(batch for batch in sample.batches if batch.num_rows)
    try:
        inputs = project(rows if steps.preprocess is None else steps.preprocess(rows), steps.binding)
    except RunError as error:
        raise ModelRefusedError(
            "Rows of the table cannot be given to the model.",
            details=[error.what, *error.details],
            next_step=error.next_step,
        ) from error
    whole = np.ones(inputs.num_rows, bool)
    for column in inputs.columns:
        missing = column.is_null(nan_is_null=True).to_numpy(zero_copy_only=False)
        whole &= ~missing
    return inputs.slice(int(np.argmax(whole)), 1)
