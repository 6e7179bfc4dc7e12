"""The functions that Spark calls in a Python worker; thin, so that their pickles are."""

from __future__ import annotations

import functools
import itertools
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc
from pyspark import TaskContext

from spark_infer.config import ResourceOptions
from spark_infer.core.arguments import ModelColumns, read_arguments
from spark_infer.core.casts import in_utc
from spark_infer.core.contract import bind
from spark_infer.models.recipe import Recipe
from spark_infer.models.worker import score_column, score_table_batches
from spark_infer.runtime.assignment import Assignment
from spark_infer.runtime.output_capture import open_worker_log
from spark_infer.runtime.process_state import this_process
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
    assigned = task_assignment(resources)
    return score_table_batches(recipe, partial(open_folder, files), named, assigned, stats_column=stats_column)


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
    batches: Iterator[list[pa.Array]], *, recipe: Recipe, files: ModelFiles, as_struct: bool, loose: bool
) -> Iterator[pa.Array]:
    """Predict for the arguments of a column expression; for `arrow_udf`.

    Args:
        batches: The arguments. Several are loose columns of SQL: Spark passes their values and types to a Python
            function, not their names, which its physical operator replaces (``_0``, ``_1``, … in
            ``ArrowEvalPythonExec``); and it refuses named arguments (NAMED_PARAMETERS_NOT_SUPPORTED).
        recipe: How to score; its binding is completed here, where the columns are known.
        files: How the model's files reach this node.
        as_struct: Whether each row gets a struct of all outputs.
        loose: Whether the only argument is a struct that was made of loose columns, to bring their names.

    Raises:
        SchemaMismatchError: The arguments do not fit the model's signature.
    """
    first = next(batches, None)
    if first is None:
        return
    assigned = task_assignment(ResourceOptions())
    options = recipe.options
    model = ModelColumns(label=recipe.label, signature=recipe.ref.mlmodel.signature, inputs=options.inputs)
    given = read_arguments([array.type for array in first], model, loose=loose)
    if given.by_position:
        _note_positions(tuple(given.schema.names), recipe.label)
    elif loose and given.within == ():
        for doubt in model.doubts(given.schema.names):
            _note(doubt)
    binding = bind(
        given.schema, given.signature, inputs=given.inputs, allow_casts=options.allow_casts, model=recipe.label
    )
    bound = replace(recipe, load=replace(recipe.load, binding=binding))
    # Only the columns that the model takes: pyarrow can name the types of some others, and not hold them.
    wanted = {name: given.schema.get_field_index(name) for name in binding.sources}
    named = (
        pa.RecordBatch.from_arrays(
            [_column(arrays, given.within, index) for index in wanted.values()], names=list(wanted)
        )
        for arrays in itertools.chain([first], batches)
    )
    for outputs in score_column(bound, partial(open_folder, files), named, assigned):
        yield outputs.to_struct_array() if as_struct else outputs.column(0)


def _column(arrays: list[pa.Array], within: tuple[int, ...] | None, index: int) -> pa.Array:
    return arrays[index] if within is None else pc.struct_field(arrays[0], [*within, index])


def task_assignment(resources: ResourceOptions) -> Assignment:
    """Read what Spark assigned to the task that runs, whose process may be ended when a step of it hangs."""
    context = TaskContext.get()
    if context is None:
        return Assignment(resources=resources)
    open_worker_log(os.environ)
    this_process().deadlines.may_end()
    gpu = context.resources().get("gpu")
    return Assignment(
        addresses=tuple(gpu.addresses) if gpu else (),
        cpus=context.cpus() or None,
        attempt=context.attemptNumber(),
        resources=resources,
    )


@functools.cache
def _note(doubt: str) -> None:
    """Log once for each worker."""
    logger.warning(doubt)


@functools.cache
def _note_positions(names: tuple[str, ...], label: str) -> None:
    """Log once for each worker that loose columns were bound by position, which cannot be checked."""
    if len(names) > 1:
        logger.warning(
            "%s: the names of the columns do not say which is which, so they were bound by position, as %s. "
            "predict(struct(*)) binds by name.",
            label,
            ", ".join(names),
        )
