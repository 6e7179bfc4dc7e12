"""A prepared scoring, served by the compiled model where the user asked for that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from spark_infer.errors import PlanError, ResourcesError
from spark_infer.models.compile.gate import compile_recipe, runs_on_gpu
from spark_infer.models.requirements import refuse_unmet, requirements
from spark_infer.models.sample_rows import SAMPLE_ROWS, Sample
from spark_infer.spark.prepare import Prepared
from spark_infer.spark.ship import choose_way, workers_are_here
from spark_infer.spark.versions import arrow_table
from spark_infer.tables.predicate import quote_name

if TYPE_CHECKING:
    from spark_infer.models.backends.spec import LoadedModel


def with_compiled(spark: SparkSession, prepared: Prepared, take_sample: Callable[[], Sample]) -> Prepared:
    """Return a scoring that the compiled model serves, where its options ask for one.

    Loads both models on the driver, and has them answer a sample of the table.

    Args:
        spark: The session.
        prepared: The scoring by the model's own library.
        take_sample: Reads real rows of the table.

    Raises:
        PlanError: The model cannot be compiled, or the compiled one answers otherwise.
    """
    options = prepared.recipe.options
    if options.compile is None:
        return prepared
    if prepared.stage.resources.gpu and not runs_on_gpu(prepared.recipe.choice, options.compile.to):
        raise ResourcesError(
            f"A model that is compiled to {options.compile.to} runs on the CPU, and a GPU was asked for.",
            next_step="leave `compile` or `gpu` out.",
        )
    model = cast("LoadedModel", prepared.load_here())
    recipe = compile_recipe(prepared.recipe, model, prepared.store, take_sample)
    artefact = recipe.load.artefact
    if artefact is None:
        return replace(prepared, recipe=recipe)
    refuse_unmet(requirements(recipe.ref.mlmodel, recipe.load.backend), missing=workers_are_here(spark))
    files = choose_way(spark, prepared.store, artefact.digest, options.model_files)
    return replace(prepared, recipe=recipe, files=files)


def first_rows(rows: DataFrame, columns: Sequence[str], schema: pa.Schema) -> Sample:
    """Have Spark read the first rows of a DataFrame: one small job, whose cost is what comes before these rows.

    Args:
        rows: The DataFrame.
        columns: Those that are wanted.
        schema: Its columns, with the types that Python workers get.

    Raises:
        PlanError: It is a stream.
    """
    if rows.isStreaming:
        raise PlanError(
            "`compile` compares models on rows of the table first, and a stream has none yet.",
            next_step="leave `compile` out.",
        )
    wanted = pa.schema([schema.field(name) for name in columns])
    named = rows.select(*(rows[quote_name(name)].alias(f"c{number}") for number, name in enumerate(columns)))
    table = arrow_table(named.limit(SAMPLE_ROWS)).rename_columns(list(columns)).cast(wanted)
    batches = [batch for batch in table.combine_chunks().to_batches() if batch.num_rows]
    return Sample(batches=batches, places=["the rows as Spark reads them"] * len(batches))
