"""The DataFrame door: `score`."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql.types import DataType
from typing_extensions import Unpack

from spark_infer.config import ResourceOptions
from spark_infer.config.keywords import ScoreKeywords, mapping, spells_out
from spark_infer.config.validate_options import checked
from spark_infer.models.callables.callable_model import AnyModel
from spark_infer.models.driver import open_store
from spark_infer.spark.compilation import first_rows, with_compiled
from spark_infer.spark.mapping import mapped
from spark_infer.spark.prepare import Prepared, make_options, pin, prepare
from spark_infer.spark.quiet import refusing_condition
from spark_infer.spark.resources.stage import plan_stage
from spark_infer.spark.schema import as_ddl, to_arrow, to_spark
from spark_infer.spark.ship import ship
from spark_infer.spark.stamp import stamped
from spark_infer.spark.wide_udf import frame_by_wide_udf, pays
from spark_infer.spark.worker import score_partition
from spark_infer.tables.predicate import quote_name
from spark_infer.tables.spark_json import plain

logger = logging.getLogger(__name__)


@spells_out(ScoreKeywords)
def score(
    df: DataFrame,
    model_uri: AnyModel,
    *,
    keep: str | Sequence[str] = "all",
    output: str | Mapping[str, str] | None = None,
    model_name_column: str | None = None,
    model_version_column: str | None = None,
    where: str | Column | None = None,
    result_type: str | DataType | None = None,
    resources: ResourceOptions | Mapping[str, Any] | None = None,
    tracking_uri: str | None = None,
    registry_uri: str | None = None,
    **options: Unpack[ScoreKeywords],
) -> DataFrame:
    """Score a DataFrame: its columns, and beside them the model's predictions.

    Lazy: the model is resolved and the schemas are checked now, rows are scored when an action runs; each action
    scores each row once, also when the caller filters on a prediction. Kept columns pass through bit for bit. A Spark
    ML pipeline is loaded now, by small tasks of Spark's own, and is part of Spark's plan like any other expression.
    With ``compile``, one small Spark job reads the rows to compare now.

    Args:
        df: Rows to score.
        model_uri: ``models:/name@alias``, ``models:/name/3``, ``runs:/…``, a folder, a `ModelRef`, or a plain
            Python function, class or `CallableModel`.
        keep: Columns that pass through, or ``all``; only these and the model's inputs are read.
        output: A name for the only output (several become one struct), or a mapping that renames and chooses.
        model_name_column: A column for the model's name, which `score_table` adds as ``model_name``.
        model_version_column: A column for its exact version, which `score_table` adds as ``model_version``.
        where: SQL condition; other rows are neither scored nor returned.
        result_type: DDL of the outputs, where the signature has none or other types are wanted.
        resources: What one task of the scoring stage takes: ``{"gpu": 1, "tasks_per_gpu": 4, "cpus": 2}``; by default
            what the application gives every task.
        tracking_uri: MLflow tracking server, where it is not MLflow's own setting.
        registry_uri: MLflow registry, where it is not the tracking server.
        **options: How rows are scored; `ScoreKeywords` has their names and types, `ScoreOptions` what they mean.

    Returns:
        The kept columns, the prediction columns and those of the model's name and version; lazy.

    Raises:
        PlanError: The model, the table and the options do not fit together; no row has been scored.

    Example:
        >>> scored = score(flights, "models:/flight_delay@champion", keep=["flight_id"])
        >>> scored.orderBy("flight_id").show()
        +---------+----------+
        |flight_id|prediction|
        +---------+----------+
        |        1|      -3.0|
        |        2|      28.0|
        |        3|      -9.0|
        +---------+----------+
        <BLANKLINE>
    """
    per_task, wrong = checked(ResourceOptions, mapping(resources, "resources"))
    problems = [str(each._replace(path=("resources", *each.path))) for each in wrong]
    asked = make_options(score, {}, wrong=problems, result_type=as_ddl(result_type), **options)
    assert per_task is not None
    stage = plan_stage(df.sparkSession, per_task)
    rows = df if where is None else _filtered(df, where)
    store = open_store()
    ref = pin(model_uri, asked, store, tracking_uri=tracking_uri, registry_uri=registry_uri)
    prepared = prepare(
        df.sparkSession,
        ref,
        plain(to_arrow(rows.schema)),
        asked,
        store=store,
        stage=stage,
        keep=keep if keep == "all" else (keep,) if isinstance(keep, str) else tuple(keep),
        output=output if isinstance(output, str) or output is None else mapping(output, "output"),
        rows=lambda: rows,
    )
    for warning in prepared.recipe.warnings():
        logger.warning("%s: %s", ref, warning)
    columns = prepared.recipe.read_columns(prepared.table)
    prepared = with_compiled(df.sparkSession, prepared, partial(first_rows, rows, columns, prepared.table))
    ship(df.sparkSession, prepared.store, prepared.files)
    return stamped(scored_frame(rows, prepared), ref.texts(model_name_column, model_version_column))


def _filtered(df: DataFrame, where: str | Column) -> DataFrame:
    with refusing_condition():
        # In brackets, where `a = 1 AND` is no condition with a name.
        rows = df.filter(f"({where}\n)" if isinstance(where, str) else where)
        rows.select("*").schema  # noqa: B018 - has Spark look at the condition, also where it would wait for the first action
        return rows


def scored_frame(df: DataFrame, prepared: Prepared, *, stats_column: str | None = None) -> DataFrame:
    """Put the scoring operator over a DataFrame.

    It is a `mapInArrow`, which the optimizer neither copies nor crosses: a filter on a prediction runs above it. Where
    many columns pass by the model, it is an expression that leaves them in the JVM (`wide_udf.py`). Only a Spark ML
    pipeline is a transform of Spark's own, which has no ``stats_column``.

    Args:
        df: Rows to score.
        prepared: The recipe and the model's files.
        stats_column: Name of a further column that carries what scoring cost (`core.stats.STATS_TYPE`).
    """
    recipe = prepared.recipe
    if prepared.sparkml is not None:
        from spark_infer.spark.transform import transformed_frame

        return transformed_frame(df, recipe, prepared.sparkml)
    table = to_arrow(df.schema)
    schema = to_spark(recipe.scored_schema(table, stats_column=stats_column))
    if pays(prepared):
        return frame_by_wide_udf(df, prepared, schema, stats_column=stats_column)
    columns = recipe.read_columns(table)
    # mapInArrow looks its columns up unquoted, so names with dots or backquotes travel under numbers.
    plain = all(set(name).isdisjoint(".`*") for name in columns)
    if plain:
        read = df.select(*map(quote_name, columns))
    else:
        read = df.select(*(df[quote_name(name)].alias(f"c{i}") for i, name in enumerate(columns)))
    function: Any = partial(
        score_partition,
        recipe=recipe,
        files=prepared.files,
        columns=columns,
        resources=prepared.stage.resources,
        stats_column=stats_column,
    )
    function.__name__ = "spark_infer.score"  # the name of the operator in Spark's plans
    return mapped(read, function, schema, profile=prepared.stage.profile)
