"""From a Spark schema and a model URI to a recipe and its files: what the three doors share on the driver."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pyspark.sql import SparkSession

from spark_infer.config import ScoreOptions
from spark_infer.core.options import validated
from spark_infer.core.stats import Stats
from spark_infer.models.backends import LoadedModel, LoadSpec
from spark_infer.models.files.store import ModelStore, default_root
from spark_infer.models.recipe import Output, Recipe, make_recipe
from spark_infer.models.ref import ModelRef
from spark_infer.models.registry.resolve import resolve
from spark_infer.models.worker import load_model
from spark_infer.spark.schema import refuse_case_twins, refuse_unsupported, result_schema
from spark_infer.spark.ship import ModelFiles, ship


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A recipe for a table, and how the model's files reach the workers."""

    recipe: Recipe
    table: pa.Schema
    files: ModelFiles
    store: ModelStore

    def load_here(self) -> LoadedModel:
        """Load the model on the driver (once for this process) and return it.

        Raises:
            ModelLoadError: It does not load.
        """
        return _load_here(self.recipe.load, self.recipe.ref, self.store, self.recipe.options.cache_bytes)


def open_store() -> ModelStore:
    """Return this node's model store."""
    return ModelStore(default_root(os.environ))


def make_options(**given: Any) -> ScoreOptions:
    """Validate the options of a door; None means the default.

    Raises:
        ConfigError: A value is wrong; all of them at once.
    """
    return validated(ScoreOptions, {name: value for name, value in given.items() if value is not None})


def prepare(
    spark: SparkSession,
    ref: ModelRef,
    schema: pa.Schema,
    options: ScoreOptions,
    *,
    store: ModelStore,
    keep: str | Sequence[str] = "all",
    output: Output = None,
) -> Prepared:
    """Decide how a table of ``schema`` is scored by ``ref`` in this session, and ship the model's files.

    Starts no Spark task.

    Raises:
        PlanError: The table, the model and the options do not fit together.
    """

    def load_here(spec: LoadSpec) -> LoadedModel:
        return _load_here(spec, ref, store, options.cache_bytes)

    recipe = make_recipe(
        ref,
        schema,
        options,
        load_model=load_here,
        keep=keep,
        output=output,
        result_schema=result_schema(options.result_type),
        threads=int(spark.conf.get("spark.task.cpus", "1") or 1),
        show_values=os.environ.get("SPARK_INFER_SHOW_VALUES") == "1",
    )
    columns = recipe.read_columns(schema)
    refuse_unsupported(schema, columns)
    if str(spark.conf.get("spark.sql.caseSensitive", "false")).lower() != "true":
        refuse_case_twins(schema, columns)
    return Prepared(recipe=recipe, table=schema, files=ship(spark, store, ref), store=store)


def pin(model: str | ModelRef, store: ModelStore, *, tracking_uri: str | None, registry_uri: str | None) -> ModelRef:
    """Return the exact model of a URI; one that is pinned already stays as it is."""
    if isinstance(model, ModelRef):
        return model
    return resolve(model, tracking_uri=tracking_uri, registry_uri=registry_uri, store=store)


def _load_here(spec: LoadSpec, ref: ModelRef, store: ModelStore, cache_bytes: int) -> LoadedModel:
    return load_model(spec, ref, lambda: store.path(ref.digest), Stats(), cache_bytes=cache_bytes)
