"""The functions that Spark calls in a Python worker; thin, so that their pickles are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import pyarrow as pa

from spark_infer.core.contract import bind
from spark_infer.errors import SchemaMismatchError
from spark_infer.models.recipe import Recipe
from spark_infer.models.worker import score_column, score_table_batches
from spark_infer.spark.ship import ModelFiles, open_folder


def score_partition(
    batches: Iterator[pa.RecordBatch],
    *,
    recipe: Recipe,
    files: ModelFiles,
    columns: Sequence[str],
    stats_column: str | None = None,
) -> Iterator[pa.RecordBatch]:
    """Score one partition of a table, whose columns are ``columns`` by whatever name they arrive; for `mapInArrow`."""
    named = (batch.rename_columns(list(columns)) for batch in batches)
    return score_table_batches(recipe, partial(open_folder, files), named, stats_column=stats_column)


def predict_columns(
    batches: Iterator[list[pa.Array]], *, recipe: Recipe, files: ModelFiles, as_struct: bool
) -> Iterator[pa.Array]:
    """Predict for the arguments of a column expression; for `arrow_udf`.

    Raises:
        SchemaMismatchError: The arguments do not fit the model's signature.
    """
    named = _Named(batches, recipe)
    first = next(named, None)
    if first is None:
        return
    signature = recipe.ref.mlmodel.signature
    options = recipe.options
    binding = bind(first.schema, signature, inputs=options.inputs, allow_casts=options.allow_casts, model=recipe.label)
    bound = replace(recipe, load=replace(recipe.load, binding=binding))
    for outputs in score_column(bound, partial(open_folder, files), _chained(first, named)):
        yield outputs.to_struct_array() if as_struct else outputs.column(0)


def _chained(first: pa.RecordBatch, rest: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    yield first
    yield from rest


class _Named:
    """Record batches out of a UDF's arguments: a struct brings its names, loose columns take the signature's order."""

    def __init__(self, batches: Iterator[list[pa.Array]], recipe: Recipe) -> None:
        self._batches = batches
        self._names = recipe.ref.mlmodel.signature.names if recipe.ref.mlmodel.signature else None
        self._names = self._names or recipe.options.inputs
        self._label = recipe.label

    def __iter__(self) -> _Named:
        return self

    def __next__(self) -> pa.RecordBatch:
        arrays = next(self._batches)
        if len(arrays) == 1 and self._is_row(arrays[0]):
            names = [field.name for field in arrays[0].type]
            return pa.RecordBatch.from_arrays(arrays[0].flatten(), names=names)
        if self._names is None or len(arrays) != len(self._names):
            raise SchemaMismatchError(
                f"{self._label} takes {len(self._names or ())} columns, the call has {len(arrays)}.",
                problems=[f"the model's columns are {list(self._names or ())}"],
                next_step="pass one struct, whose fields bind by name: predict(struct(*)).",
            )
        return pa.RecordBatch.from_arrays(arrays, names=list(self._names))

    def _is_row(self, array: pa.Array) -> bool:
        if not pa.types.is_struct(array.type):
            return False
        names = {field.name for field in array.type}
        # A model with one struct-typed input may be given that value itself.
        return not (self._names is not None and len(self._names) == 1 and self._names[0] not in names)
