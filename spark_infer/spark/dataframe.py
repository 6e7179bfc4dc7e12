"""The DataFrame door: `score`."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql.types import DataType, StructType

from spark_infer.config import CompileOptions, PostprocessStep, ResourceOptions
from spark_infer.core.options import mapping, validated
from spark_infer.core.stats import STATS_TYPE
from spark_infer.models.driver import open_store
from spark_infer.models.recipe import Recipe
from spark_infer.models.ref import ModelRef
from spark_infer.spark.compilation import first_rows, with_compiled
from spark_infer.spark.mapping import mapped
from spark_infer.spark.prepare import Prepared, make_options, pin, prepare
from spark_infer.spark.quiet import refusing_condition
from spark_infer.spark.resources.stage import plan_stage
from spark_infer.spark.schema import as_ddl, quoted, to_arrow, to_spark
from spark_infer.spark.ship import ship
from spark_infer.spark.stamp import stamped
from spark_infer.spark.wide_udf import frame_by_wide_udf, pays
from spark_infer.spark.worker import score_partition

logger = logging.getLogger(__name__)


def score(
    df: DataFrame,
    model_uri: str | os.PathLike[str] | ModelRef,
    *,
    keep: str | Sequence[str] = "all",
    output: str | Mapping[str, str] | None = None,
    model_name_column: str | None = None,
    model_version_column: str | None = None,
    params: Mapping[str, Any] | None = None,
    model_config: Mapping[str, Any] | str | os.PathLike[str] | None = None,
    extra_env: Mapping[str, str] | None = None,
    where: str | Column | None = None,
    preprocess: str | None = None,
    postprocess: Sequence[PostprocessStep | Mapping[str, Any] | str] = (),
    batch_size: int | None = None,
    max_batch_bytes: int | None = None,
    inputs: Sequence[str] | None = None,
    backend: str | None = None,
    predict_method: str | Sequence[str] | None = None,
    result_type: str | DataType | None = None,
    allow_casts: Sequence[str] = (),
    deduplicate: str | None = None,
    row_order: str | None = None,
    trust: str | None = None,
    digests: Sequence[str] = (),
    refuse_pickle: bool = False,
    scan_pickle: bool = False,
    compile: str | CompileOptions | Mapping[str, Any] | None = None,
    cache_bytes: int | None = None,
    load_seconds: float | None = None,
    predict_seconds: float | None = None,
    model_files: str | None = None,
    resources: ResourceOptions | Mapping[str, Any] | None = None,
    tracking_uri: str | None = None,
    registry_uri: str | None = None,
) -> DataFrame:
    """Score a DataFrame: its columns, and beside them the model's predictions.

    Lazy: the model is resolved and the schemas are checked now, rows are scored when an action runs; each action
    scores each row once, also when the caller filters on a prediction. Kept columns pass through bit for bit. A Spark
    ML pipeline is loaded now, by small tasks of Spark's own, and is part of Spark's plan like any other expression.

    Args:
        df: Rows to score.
        model_uri: ``models:/name@alias``, ``models:/name/3``, ``runs:/…``, a folder, or a `ModelRef`.
        keep: Columns that pass through, or ``all``; only these and the model's inputs are read.
        output: A name for the only output (several become one struct), or a mapping that renames and chooses.
        model_name_column: A column for the model's name, which `score_table` adds as ``model_name``.
        model_version_column: A column for its exact version, which `score_table` adds as ``model_version``.
        params: Inference parameters of the model's signature.
        model_config: Values that replace those of the ``model_config`` that the model was logged with, or
            the path of a YAML file with them.
        extra_env: Environment variables that the model has while it loads and predicts. Their values are never shown.
        where: SQL condition; other rows are neither scored nor returned.
        preprocess: ``module:function`` from an Arrow batch of ``df`` to one with the model's columns.
        postprocess: Steps over the outputs, as in a job file: ``[{"threshold": {…}}, "module:function"]``.
        batch_size: Most rows per predict call (default: what suits the model, most often 10 000).
        max_batch_bytes: Bytes per predict call (default 64 MiB).
        inputs: Columns for a model that names none, in its order.
        backend: ``auto``, or the backend that must serve: a flavor that has a native one, or ``pyfunc``.
        predict_method: ``predict``, ``predict_proba``, ``decision_function``, or several.
        result_type: DDL of the outputs, where the signature has none or other types are wanted.
        allow_casts: ``decimal->double``, ``double->float`` and ``long->double`` happen only when listed here.
        deduplicate: ``auto`` or ``always`` predicts equal rows once (default ``never``).
        row_order: ``trust`` takes the model's answers in their order also where an output that repeats an input shows
            that they belong to other rows (default ``check``, an error).
        trust: ``registry`` allows registered versions only, ``digests`` those that `digests` lists (default ``any``).
        digests: SHA-256 digests of the models that may run, for ``trust="digests"``.
        refuse_pickle: Refuse a model with a pickle among its files.
        scan_pickle: Refuse a model with a pickle that picklescan (the extra ``scan``) finds dangerous.
        compile: ``onnx``, or ``{"to": "onnx", "bound": 1e-5}``: the model compiled for ONNX Runtime, once it answered
            the first rows as the original does, which one small Spark job reads now.
        cache_bytes: Bytes of loaded models that a Python worker may keep (default 4 GiB).
        load_seconds: How long a worker may take to load the model before it is stopped (default half an hour).
        predict_seconds: The same for one predict call.
        model_files: A folder that every node mounts, or an object store's URI, by which the model's files reach the
            workers; by default Spark sends them.
        resources: What one task of the scoring stage takes: ``{"gpu": 1, "tasks_per_gpu": 4, "cpus": 2}``; by default
            what the application gives every task.
        tracking_uri: MLflow tracking server, where it is not MLflow's own setting.
        registry_uri: MLflow registry, where it is not the tracking server.

    Returns:
        The kept columns, the prediction columns and those of the model's name and version; lazy.

    Raises:
        PlanError: The model, the table and the options do not fit together; no Spark task has started.

    Example:
        >>> scored = score(flights, "models:/flight_delay@champion", keep=["flight_id"])  # doctest: +SKIP
    """
    options = make_options(
        inputs=inputs,
        params=params,
        model_config=model_config,
        extra_env=extra_env,
        backend=backend,
        predict_method=predict_method,
        result_type=as_ddl(result_type),
        allow_casts=allow_casts,
        compile=compile,
        preprocess=preprocess,
        postprocess=postprocess,
        batch_size=batch_size,
        max_batch_bytes=max_batch_bytes,
        deduplicate=deduplicate,
        row_order=row_order,
        trust=trust,
        digests=digests,
        refuse_pickle=refuse_pickle,
        scan_pickle=scan_pickle,
        cache_bytes=cache_bytes,
        load_seconds=load_seconds,
        predict_seconds=predict_seconds,
        model_files=model_files,
    )
    stage = plan_stage(df.sparkSession, validated(ResourceOptions, mapping(resources, "resources")))
    with refusing_condition():
        # In brackets, where `a = 1 AND` is no condition with a name.
        rows = df if where is None else df.filter(f"({where}\n)" if isinstance(where, str) else where)
        rows.select("*").schema  # noqa: B018 - has Spark look at the condition, also where it would wait for the first action
    store = open_store()
    ref = pin(model_uri, store, tracking_uri=tracking_uri, registry_uri=registry_uri)
    prepared = prepare(
        df.sparkSession,
        ref,
        to_arrow(rows.schema),
        options,
        store=store,
        stage=stage,
        keep=keep if keep == "all" else (keep,) if isinstance(keep, str) else tuple(keep),
        output=output if isinstance(output, str) or output is None else mapping(output, "output"),
        rows=rows,
    )
    for warning in prepared.recipe.warnings():
        logger.warning("%s: %s", ref, warning)
    columns = prepared.recipe.read_columns(prepared.table)
    prepared = with_compiled(df.sparkSession, prepared, partial(first_rows, rows, columns, prepared.table))
    ship(df.sparkSession, prepared.store, prepared.files)
    return stamped(scored_frame(rows, prepared), ref.texts(model_name_column, model_version_column))


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
    schema = scored_schema(df.schema, recipe, stats_column=stats_column)
    if pays(prepared):
        return frame_by_wide_udf(df, prepared, schema, stats_column=stats_column)
    columns = recipe.read_columns(to_arrow(df.schema))
    # mapInArrow looks its columns up unquoted, so names with dots or backquotes travel under numbers.
    plain = all(set(name).isdisjoint(".`*") for name in columns)
    if plain:
        read = df.select(*map(quoted, columns))
    else:
        read = df.select(*(df[quoted(name)].alias(f"c{i}") for i, name in enumerate(columns)))
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


def scored_schema(table: StructType, recipe: Recipe, *, stats_column: str | None = None) -> StructType:
    """Return the columns of scored rows: those kept, as the table has them, then the predictions."""
    added = recipe.outputs if stats_column is None else recipe.outputs.append(pa.field(stats_column, STATS_TYPE))
    types = {field.name: field for field in table.fields}
    return StructType([types[name] for name in recipe.keep] + to_spark(added).fields)
