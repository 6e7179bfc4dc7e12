"""From a Spark schema and a model URI to a recipe and its files: what the three doors share on the driver."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from spark_infer.config import ScoreOptions
from spark_infer.config.keywords import unknown_options
from spark_infer.config.validate_options import validated
from spark_infer.errors import PlanError, ResourcesError
from spark_infer.models.backends.choose_backend import SPARK
from spark_infer.models.backends.native import uses_gpu
from spark_infer.models.backends.spec import Described, LoadSpec, NotLoaded
from spark_infer.models.callables.callable_model import AnyModel, as_callable_model
from spark_infer.models.callables.pin import pin_callable
from spark_infer.models.configuration import read_configuration
from spark_infer.models.driver import load_here
from spark_infer.models.files.store import ModelStore
from spark_infer.models.hosting import choose_hosting
from spark_infer.models.pins import warn_once
from spark_infer.models.recipe import Output, Recipe, make_recipe
from spark_infer.models.ref import ModelRef
from spark_infer.models.registry.resolve import resolve
from spark_infer.models.requirements import refuse_unmet, requirements
from spark_infer.models.unloadable import refuse_missing_modules
from spark_infer.spark.resources.stage import Stage, refuse_idle_gpu
from spark_infer.spark.schema import result_schema
from spark_infer.spark.server import require_server
from spark_infer.spark.session_settings import setting
from spark_infer.spark.ship import ModelFiles, choose_way, workers_are_here
from spark_infer.tables.source_columns import refuse_case_twins, refuse_unsupported

if TYPE_CHECKING:
    from pyspark.ml import PipelineModel

    from spark_infer.spark.sparkml import SparkMLModel


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A recipe for a table, how the model's files reach the workers, and what their tasks get.

    ``sparkml`` is the model itself where Spark runs it. Without ``loads`` the model is loaded nowhere.
    """

    recipe: Recipe
    table: pa.Schema
    files: ModelFiles
    store: ModelStore
    stage: Stage
    sparkml: SparkMLModel | None = None
    loads: bool = True

    @property
    def tried_here(self) -> bool:
        """Whether the model can be tried on the driver as the workers run it."""
        return self.sparkml is None and not self.stage.resources.gpu

    @property
    def like_workers(self) -> bool:
        """Whether the workers run the model on the CPU, as the driver does."""
        return not (self.stage.resources.gpu and uses_gpu(self.recipe.load.backend))

    def load_here(self) -> Described:
        """Load the model on the driver (once for this process) and return it.

        Raises:
            ModelRefusedError: It does not load.
        """
        if not self.loads:
            return NotLoaded()
        if self.sparkml is not None:
            return self.sparkml
        return load_here(self.recipe.load, self.recipe.ref, self.store, self.recipe.options.cache_bytes)


def make_options(
    door: Callable[..., Any], lacks: Mapping[str, str], *, wrong: Sequence[str] = (), **given: Any
) -> ScoreOptions:
    """Validate the options of a door; None means the default.

    Args:
        door: The door.
        lacks: Options of other doors that it cannot have, each with the reason and what to do.
        wrong: What is known to be wrong with its other options.
        given: What it was called with.

    Raises:
        ConfigError: It has no such option, or a value is wrong; all of them at once. Or the file of a ``model_config``
            cannot be read.
    """
    unknown = unknown_options(door, given, lacks)
    given["model_config"] = read_configuration(given.get("model_config"))
    names = ScoreOptions.settings()
    options = {name: value for name, value in given.items() if value is not None and name in names}
    if options.get("on_error") == "quarantine":
        wrong = [*wrong, "on_error: quarantine is for score_table, which publishes both tables; use 'null' here"]
    return validated(ScoreOptions, options, [*unknown, *wrong])


def prepare(
    spark: SparkSession,
    ref: ModelRef,
    schema: pa.Schema,
    options: ScoreOptions,
    *,
    store: ModelStore,
    stage: Stage,
    keep: str | Sequence[str] = "all",
    output: Output = None,
    undeclared: pa.Schema | None = None,
    rows: Callable[[], DataFrame] | None = None,
    loads: bool = True,
) -> Prepared:
    """Decide how a table of ``schema`` is scored by ``ref`` in this session, and how the model's files travel.

    Starts no Spark task and writes nothing; `ship` brings the files to the workers. Only a Spark ML pipeline is loaded
    here, when all else is checked, which takes small tasks of Spark's own.

    Args:
        spark: The session.
        ref: The pinned model.
        schema: Columns of the table.
        options: How rows are scored.
        store: The driver's store, which holds the model.
        stage: What the tasks get.
        keep: Columns that pass through.
        output: Names of the outputs.
        undeclared: What a model returns of which nothing else says it; None refuses such a model.
        rows: Returns the table itself, where there is one; only a Spark ML pipeline asks for it.
        loads: Whether the model may be loaded here, which runs its author's code.

    Raises:
        PlanError: The table, the model and the options do not fit together.
    """

    @functools.cache
    def pipeline() -> PipelineModel:
        from spark_infer.spark.sparkml import load_pipeline

        return load_pipeline(spark, ref.mlmodel, store, choose_way(spark, store, ref.digest, options.model_files))

    def load_sparkml(spec: LoadSpec) -> SparkMLModel:
        from spark_infer.spark.sparkml import SparkMLModel

        table = rows() if rows is not None and options.preprocess is None else None
        return SparkMLModel(pipeline(), spec, table, spark)

    def load(spec: LoadSpec) -> Described:
        if not loads:
            return NotLoaded()
        if spec.backend == SPARK:
            return load_sparkml(spec)
        return load_here(spec, ref, store, options.cache_bytes)

    recipe = make_recipe(
        ref,
        schema,
        options,
        folder=store.path(ref.digest),
        load_model=load,
        keep=keep,
        output=output,
        result_schema=result_schema(options.result_type),
        undeclared=undeclared,
        threads=stage.share.cpus,
        show_values=os.environ.get("SPARK_INFER_SHOW_VALUES") == "1",
    )
    shape, gpu = stage.executor_shape(spark), uses_gpu(recipe.load.backend)
    recipe = replace(recipe, hosting=choose_hosting(options, shape, None, uses_gpu=gpu).hosting)
    _require_session(spark, recipe, schema, stage, store.path(ref.digest))
    warn_once(ref, recipe.load.backend, store.path(ref.digest))
    files = choose_way(spark, store, ref.digest, options.model_files)
    if recipe.load.backend == SPARK and not loads:
        raise PlanError(
            f"{ref} is a Spark ML pipeline: only Spark, which loads it, knows what it makes of the table.",
            next_step="let the plan load the model.",
        )
    sparkml = load_sparkml(recipe.load) if recipe.load.backend == SPARK else None
    return Prepared(recipe=recipe, table=schema, files=files, store=store, stage=stage, sparkml=sparkml, loads=loads)


def _require_session(spark: SparkSession, recipe: Recipe, schema: pa.Schema, stage: Stage, folder: Path) -> None:
    """Refuse what this session, its workers and their resources cannot do for a recipe."""
    backend = recipe.load.backend
    here = workers_are_here(spark)
    refuse_unmet(requirements(recipe.ref.mlmodel, backend), missing=here)
    if here:
        refuse_missing_modules(recipe.ref.mlmodel, folder)
    refuse_idle_gpu(stage, backend)
    if backend == SPARK and stage.resources.asks:
        raise ResourcesError(
            "Spark runs this pipeline itself, in no stage of its own that could have other resources.",
            next_step="leave `resources` out; spark.task.cpus holds for it as for every task.",
        )
    if backend == SPARK and recipe.options.expect:
        raise PlanError(
            "`expect` is for models that predict batches of rows, and Spark runs this pipeline itself.",
            next_step="leave `expect` out, and look at the target after the run.",
        )
    if backend == SPARK and recipe.options.on_error != "fail":
        raise PlanError(
            f"on_error: {recipe.options.on_error} is for models that predict batches of rows, and Spark runs this "
            "pipeline itself.",
            next_step="leave on_error out, and keep the rows that the pipeline fails for out with `where`.",
        )
    if backend == SPARK and recipe.options.decode is not None:
        raise PlanError(
            "`decode` is for models that predict in workers, and Spark runs this pipeline itself.",
            next_step="leave `decode` out, and decode in a step of the pipeline.",
        )
    if backend == SPARK and recipe.options.isolation is not None:
        raise PlanError(
            "isolation: process is for models that predict in workers, and Spark runs this pipeline itself.",
            next_step="leave isolation out.",
        )
    if backend == SPARK and recipe.options.hosting == "executor":
        raise PlanError(
            "hosting: executor is for models that predict in workers, and Spark runs this pipeline itself.",
            next_step="leave hosting out.",
        )
    columns = recipe.read_columns(schema)
    if _needs_python(recipe):
        refuse_unsupported(schema, columns)
        require_server(spark, backend)
    if setting(spark, "spark.sql.caseSensitive").lower() != "true":
        refuse_case_twins(schema, columns)


def _needs_python(recipe: Recipe) -> bool:
    """Whether rows go through Python workers: not for a Spark ML pipeline without steps of the user's."""
    return recipe.load.backend != SPARK or bool(recipe.options.preprocess or recipe.options.postprocess)


def pin(
    model: AnyModel, options: ScoreOptions, store: ModelStore, *, tracking_uri: str | None, registry_uri: str | None
) -> ModelRef:
    """Return the exact model of a URI or a plain Python function; one that is pinned already stays as it is."""
    if isinstance(model, ModelRef):
        return model
    plain_python = as_callable_model(model)
    if plain_python is not None:
        return pin_callable(plain_python, options, store, result_schema)
    assert isinstance(model, str | os.PathLike)
    return resolve(model, tracking_uri=tracking_uri, registry_uri=registry_uri, store=store)
