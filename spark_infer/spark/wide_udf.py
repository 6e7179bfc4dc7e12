"""The scoring operator for wide tables: an `arrow_udf` that is given the model's columns alone.

The columns that are kept stay in the JVM, which holds each row back until its prediction comes. It is marked
non-deterministic, so that Spark neither copies it nor moves a filter across it: each row is scored once.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql.types import StructField, StructType

from spark_infer.spark.mapping import plain_strings
from spark_infer.spark.metering import free_name
from spark_infer.spark.prepare import Prepared
from spark_infer.spark.schema import to_arrow
from spark_infer.spark.server import is_connect
from spark_infer.spark.versions import HAS_ARROW_UDF, iterator_udf
from spark_infer.spark.worker import score_arguments
from spark_infer.tables.predicate import quote_name

ENOUGH = 16
"""Kept columns that the model does not read, from which on they stay out of Python.

A guess: where it begins to pay was not measured. `python -m benchmarks.suite --workload W5` has 190 such columns.
"""


def pays(prepared: Prepared) -> bool:
    """Whether only the model's columns should cross to Python."""
    recipe = prepared.recipe
    sources = recipe.load.binding.sources
    return (
        HAS_ARROW_UDF
        and bool(sources)
        and recipe.options.preprocess is None  # a function of the whole row
        and prepared.stage.profile is None  # an expression cannot ask for resources
        and len(set(recipe.keep) - set(sources)) >= ENOUGH
    )


def crossing(prepared: Prepared, table: pa.Schema) -> tuple[str, ...]:
    """The columns of a table that travel to Python."""
    recipe = replace(prepared.recipe, keep=()) if pays(prepared) else prepared.recipe
    return recipe.read_columns(table)


def frame_by_wide_udf(df: DataFrame, prepared: Prepared, schema: StructType, *, stats_column: str | None) -> DataFrame:
    """Put the operator over a DataFrame.

    Args:
        df: Rows to score.
        prepared: The recipe and the model's files.
        schema: The columns of scored rows: those kept, then those that scoring adds.
        stats_column: Name of a further column that carries what scoring cost.
    """
    recipe = replace(prepared.recipe, keep=())
    columns = recipe.read_columns(to_arrow(df.schema))
    kept = [df[quote_name(name)] for name in prepared.recipe.keep]
    # Under numbers, since an output may have a name that the struct could not be asked for.
    added = schema.fields[len(kept) :]
    made = StructType([StructField(f"c{index}", field.dataType) for index, field in enumerate(added)])
    function: Any = partial(
        score_arguments,
        recipe=recipe,
        files=prepared.files,
        columns=columns,
        resources=prepared.stage.resources,
        stats_column=stats_column,
    )
    predict = iterator_udf(function, plain_strings(made) if is_connect(df.sparkSession) else made).asNondeterministic()
    name = free_name(df.columns, "_spark_infer_made")
    scored = df.select(*kept, predict(*(df[quote_name(column)] for column in columns)).alias(name))
    return scored.select(
        # Columns of their own, so that a join with what was scored can tell them apart.
        *(scored[quote_name(each)].alias(each) for each in prepared.recipe.keep),
        *(scored[name][f"c{index}"].alias(field.name) for index, field in enumerate(added)),
    )
