"""The functions that Spark calls in a Python worker; thin, so that their pickles are."""

from __future__ import annotations

import functools
import itertools
import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc
from pyspark import TaskContext

from spark_infer.config import ResourceOptions
from spark_infer.core.casts import in_utc
from spark_infer.core.contract import bind
from spark_infer.core.deadline import may_end
from spark_infer.errors import SchemaMismatchError
from spark_infer.models.place import Place
from spark_infer.models.recipe import Recipe
from spark_infer.models.worker import score_column, score_table_batches
from spark_infer.spark.ship import ModelFiles, open_folder

logger = logging.getLogger(__name__)


def score_partition(
    batches: Iterator[pa.RecordBatch],
    *,
    recipe: Recipe,
    files: ModelFiles,
    columns: Sequence[str],
    resources: ResourceOptions,
    stats_column: str | None = None,
) -> Iterator[pa.RecordBatch]:
    """Score one partition of a table, whose columns are ``columns`` by whatever name they arrive; for `mapInArrow`."""
    named = (batch.rename_columns(list(columns)) for batch in batches)
    if recipe.options.preprocess is not None:
        named = (in_utc(batch) for batch in named)
    place = task_place(resources)
    return score_table_batches(recipe, partial(open_folder, files), named, place, stats_column=stats_column)


def score_arguments(
    batches: Iterator[list[pa.Array]],
    *,
    recipe: Recipe,
    files: ModelFiles,
    columns: Sequence[str],
    resources: ResourceOptions,
    stats_column: str | None = None,
) -> Iterator[pa.Array]:
    """Score the columns of one partition of a table that the model reads, for `arrow_udf`.

    Returns:
        What scoring adds to each row, as structs with the fields ``c0``, ``c1`` and so on.
    """
    named = (pa.RecordBatch.from_arrays(arrays, names=list(columns)) for arrays in batches)
    for batch in score_partition(
        named, recipe=recipe, files=files, columns=columns, resources=resources, stats_column=stats_column
    ):
        fields = [pa.field(f"c{index}", field.type) for index, field in enumerate(batch.schema)]
        yield pa.StructArray.from_arrays(batch.columns, fields=fields)


def predict_columns(
    batches: Iterator[list[pa.Array]], *, recipe: Recipe, files: ModelFiles, as_struct: bool
) -> Iterator[pa.Array]:
    """Predict for the arguments of a column expression; for `arrow_udf`.

    Raises:
        SchemaMismatchError: The arguments do not fit the model's signature.
    """
    first = next(batches, None)
    if first is None:
        return
    schema, is_row = _arguments(first, recipe)
    signature, options = recipe.ref.mlmodel.signature, recipe.options
    binding = bind(schema, signature, inputs=options.inputs, allow_casts=options.allow_casts, model=recipe.label)
    bound = replace(recipe, load=replace(recipe.load, binding=binding))
    # Only the columns that the model takes: pyarrow can name the types of some others, and not hold them.
    wanted = {name: schema.get_field_index(name) for name in binding.sources}
    place = task_place(ResourceOptions())
    named = (
        pa.RecordBatch.from_arrays(
            [pc.struct_field(arrays[0], [index]) if is_row else arrays[index] for index in wanted.values()],
            names=list(wanted),
        )
        for arrays in itertools.chain([first], batches)
    )
    for outputs in score_column(bound, partial(open_folder, files), named, place):
        yield outputs.to_struct_array() if as_struct else outputs.column(0)


def task_place(resources: ResourceOptions) -> Place:
    """Read what Spark assigned to the task that runs, whose process may be ended when a step of it hangs."""
    context = TaskContext.get()
    if context is None:
        return Place(resources=resources)
    may_end()
    gpu = context.resources().get("gpu")
    return Place(
        addresses=tuple(gpu.addresses) if gpu else (),
        cpus=context.cpus() or None,
        attempt=context.attemptNumber(),
        resources=resources,
    )


@functools.cache
def _note_positions(names: tuple[str, ...], label: str) -> None:
    """Log once for each worker that loose columns were bound by position, which cannot be checked."""
    if len(names) > 1:
        logger.warning(
            "%s: Spark does not pass the names of loose columns, so they were bound by position, as %s. "
            "predict(struct(*)) binds by name.",
            label,
            ", ".join(names),
        )


def _arguments(arrays: list[pa.Array], recipe: Recipe) -> tuple[pa.Schema, bool]:
    """Name a UDF's arguments: one struct brings its names, loose columns take the signature's order.

    Loose columns come from SQL. Spark passes their values and types to a Python function, not their names, which
    its physical operator replaces (``_0``, ``_1`` … in ``ArrowEvalPythonExec``); and it refuses named arguments
    (``name => value``) for such functions (NAMED_PARAMETERS_NOT_SUPPORTED).

    Returns:
        The columns, and whether they are the fields of one struct.
    """
    signature = recipe.ref.mlmodel.signature
    names = (signature.names if signature else None) or recipe.options.inputs
    types = [array.type for array in arrays]
    if len(types) == 1 and pa.types.is_struct(types[0]):
        fields = list(types[0])
        # A model with one struct-typed input may be given that value itself.
        if not (names is not None and len(names) == 1 and names[0] not in {field.name for field in fields}):
            return pa.schema(fields), True
    if names is None or len(types) != len(names):
        raise SchemaMismatchError(
            f"{recipe.label} takes {len(names or ())} columns, the call has {len(types)}.",
            problems=[f"the model's columns are {list(names or ())}"],
            next_step="pass one struct, whose fields bind by name: predict(struct(*)), predict(struct(a + 1 AS x, y)).",
        )
    _note_positions(tuple(names), recipe.label)
    return pa.schema(list(zip(names, types, strict=True))), False
