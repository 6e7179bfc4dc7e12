"""The scoring operator of models that Spark runs itself: kept columns, your own steps, the model's transform."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructField, StructType

from spark_infer.core.binding import Binding, BoundColumn
from spark_infer.core.outputs import Predictions
from spark_infer.core.scoring import score_batches
from spark_infer.core.scoring_steps import ScoringSteps
from spark_infer.core.stats import Stats
from spark_infer.errors import ModelRefusedError, StepError, StepFailedError
from spark_infer.models.recipe import Recipe
from spark_infer.spark.mapping import mapped
from spark_infer.spark.schema import to_arrow, to_spark
from spark_infer.spark.sparkml import SparkMLModel
from spark_infer.tables.predicate import quote_name
from spark_infer.tables.spark_json import plain


def transformed_frame(df: DataFrame, recipe: Recipe, model: SparkMLModel) -> DataFrame:
    """Put a pipeline's transform over a DataFrame: the kept columns, then the prediction columns.

    Preprocess and postprocess are functions on Arrow batches: where there are any, the rows go through Python before
    or after. Kept columns travel under names that no pipeline uses.

    Raises:
        PlanError: The pipeline does not take the columns, or does not make the outputs.
    """
    kept = {name: f"spark_infer_kept_{index}" for index, name in enumerate(recipe.keep)}
    if recipe.options.preprocess is None:
        given = df.select(*_renamed(kept), *model.inputs(df.schema))
    else:
        before = _preprocessed(df, recipe, kept)
        given = before.select(*kept.values(), *model.inputs(before.schema))
    made = model.transform(given)
    lost = [name for name, alias in kept.items() if alias not in made.columns]
    if lost:
        raise ModelRefusedError(
            f"The pipeline drops the columns {lost}, which are kept.",
            next_step="let its SQLTransformer say SELECT *, …, or keep no columns: keep=[].",
        )
    outputs = model.predictions(made.schema, recipe.raw_outputs)
    back = _renamed({alias: name for name, alias in kept.items()})
    if not recipe.options.postprocess:
        return made.select(*back, *_chosen(outputs, recipe.output))
    scored = made.select(*kept.values(), *(column.alias(name) for name, column in outputs.items()))
    return _postprocessed(scored, recipe, kept).select(*back, *map(quote_name, recipe.outputs.names))


def _renamed(names: Mapping[str, str]) -> list[Column]:
    return [F.col(quote_name(old)).alias(new) for old, new in names.items()]


def _chosen(outputs: Mapping[str, Column], output: str | Mapping[str, str] | None) -> list[Column]:
    """`core.outputs.choose_outputs` as expressions; the recipe has checked the names."""
    named = [column.alias(name) for name, column in outputs.items()]
    if output is None:
        return named
    if isinstance(output, str):
        (only,) = outputs.values() if len(outputs) == 1 else (F.struct(*named),)
        return [only.alias(output)]
    return [outputs[name].alias(column) for name, column in output.items()]


def _preprocessed(df: DataFrame, recipe: Recipe, kept: Mapping[str, str]) -> DataFrame:
    assert recipe.prepared is not None
    columns = recipe.read_columns(to_arrow(df.schema))
    made = pa.schema([recipe.prepared.field(name) for name in recipe.load.binding.sources])
    read = df.select(*_renamed({name: f"c{index}" for index, name in enumerate(columns)}))
    return _through_arrow(
        read, recipe, names=columns, keep=[*kept], fields=_fields(df, kept), made=made, steps=_only_preprocess
    )


def _postprocessed(scored: DataFrame, recipe: Recipe, kept: Mapping[str, str]) -> DataFrame:
    read = scored.toDF(*(f"c{index}" for index in range(len(scored.columns))))
    fields = [scored.schema[alias] for alias in kept.values()]
    return _through_arrow(
        read, recipe, names=scored.columns, keep=[*kept.values()], fields=fields, made=recipe.outputs, steps=_only_post
    )


def _fields(df: DataFrame, kept: Mapping[str, str]) -> list[StructField]:
    types = {field.name: field for field in df.schema}
    found = [(alias, types[name]) for name, alias in kept.items()]
    return [StructField(alias, field.dataType, field.nullable, field.metadata) for alias, field in found]


def _through_arrow(
    read: DataFrame,
    recipe: Recipe,
    *,
    names: Sequence[str],
    keep: Sequence[str],
    fields: Sequence[StructField],
    made: pa.Schema,
    steps: Callable[[ScoringSteps, pa.Schema], ScoringSteps],
) -> DataFrame:
    function: Any = partial(run_steps, recipe=recipe, names=names, keep=keep, made=made, steps=steps)
    function.__name__ = "spark_infer.steps"  # the name of the operator in Spark's plans
    return mapped(read, function, StructType([*fields, *to_spark(plain(made)).fields]))


def run_steps(
    batches: Iterator[pa.RecordBatch],
    *,
    recipe: Recipe,
    names: Sequence[str],
    keep: Sequence[str],
    made: pa.Schema,
    steps: Callable[[ScoringSteps, pa.Schema], ScoringSteps],
) -> Iterator[pa.RecordBatch]:
    """Run the preprocess or the postprocess steps of a recipe over one partition; for `mapInArrow`.

    Args:
        batches: Record batches, whose columns are ``names`` by whatever name they arrive.
        recipe: Holds the steps.
        names: Names of the columns.
        keep: Those that pass through.
        made: Columns that the steps make.
        steps: Picks the steps.
    """
    try:
        picked = steps(recipe.compile(), made)
    except StepError as error:
        raise StepFailedError.on_worker(error) from None
    named = (batch.rename_columns(list(names)) for batch in batches)
    for scored in score_batches(named, _AsGiven, picked, Stats()):
        arrays = [*(scored.rows.column(name) for name in keep), *scored.outputs.columns]
        yield pa.RecordBatch.from_arrays(arrays, names=[*keep, *scored.outputs.schema.names])


class _AsGiven:
    """Stands where the model does: the steps before it have returned its columns, or those after it get them."""

    def predict(self, inputs: pa.RecordBatch) -> Predictions:
        return dict(zip(inputs.schema.names, inputs.columns, strict=True))

    def close(self) -> None:
        pass


def _only_preprocess(steps: ScoringSteps, made: pa.Schema) -> ScoringSteps:
    return replace(steps, binding=_bound(made), raw_outputs=made, outputs=made, postprocess=lambda batch: batch)


def _only_post(steps: ScoringSteps, made: pa.Schema) -> ScoringSteps:
    return replace(steps, binding=_bound(steps.raw_outputs), preprocess=None)


def _bound(schema: pa.Schema) -> Binding:
    return Binding(columns=tuple(BoundColumn(source=f.name, target=f.name, type=f.type) for f in schema))
