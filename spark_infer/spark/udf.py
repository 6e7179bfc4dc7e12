"""The column door: `model_udf`."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from typing import Any, Protocol

import pyarrow as pa
from pyspark.sql import Column, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import DataType
from pyspark.sql.utils import is_remote

from spark_infer.config import PostprocessStep, ResourceOptions
from spark_infer.core.options import mapping
from spark_infer.errors import ConfigError, ModelRefusedError, SchemaMismatchError, did_you_mean, nearest_names
from spark_infer.models.backends.choice import runs_in_spark
from spark_infer.models.expected import expected_schema
from spark_infer.models.pins import refuse_environments
from spark_infer.models.ref import ModelRef
from spark_infer.spark.mapping import plain_strings
from spark_infer.spark.prepare import Prepared, make_options, open_store, pin, prepare
from spark_infer.spark.resources import plan_stage
from spark_infer.spark.schema import as_ddl, is_struct, last_part, quoted, to_spark
from spark_infer.spark.ship import ship
from spark_infer.spark.versions import iterator_udf
from spark_infer.spark.worker import predict_columns

logger = logging.getLogger(__name__)


class ModelUdf(Protocol):
    """A vectorized UDF that knows its model; ``spark.udf.register`` takes it."""

    model: ModelRef
    returnType: DataType

    def __call__(self, *columns: str | Column, **named: str | Column) -> Column:
        """Build the column expression."""
        ...


def model_udf(
    spark: SparkSession,
    model_uri: str | ModelRef,
    result_type: str | DataType | None = None,
    env_manager: str | None = None,
    params: Mapping[str, Any] | None = None,
    extra_env: Mapping[str, str] | None = None,
    prebuilt_env_uri: str | None = None,
    model_config: Mapping[str, Any] | str | os.PathLike[str] | None = None,
    *,
    output: str | Mapping[str, str] | None = None,
    postprocess: Sequence[PostprocessStep | Mapping[str, Any] | str] = (),
    batch_size: int | None = None,
    max_batch_bytes: int | None = None,
    inputs: Sequence[str] | None = None,
    backend: str | None = None,
    predict_method: str | Sequence[str] | None = None,
    allow_casts: Sequence[str] = (),
    deduplicate: str | None = None,
    row_order: str | None = None,
    cache_bytes: int | None = None,
    load_seconds: float | None = None,
    predict_seconds: float | None = None,
    model_files: str | None = None,
    tracking_uri: str | None = None,
    registry_uri: str | None = None,
) -> ModelUdf:
    """Make a model a vectorized UDF: the replacement for ``mlflow.pyfunc.spark_udf``.

    Call styles, all binding by name:

    - ``predict()``: the columns that the signature names.
    - ``predict("a", "b")`` or ``predict(col("a"), col("b"))``, in any order; more columns than needed do no harm.
    - ``predict(struct("*"))``: the fields of one struct.
    - ``predict(age=col("years"))``: another column, or an expression, under the model's name.

    In SQL, after ``spark.udf.register("predict", udf)``: ``predict(struct(*))`` and ``predict(struct(a + 1 AS x, y))``
    bind by name. ``predict(a, b)`` binds by position, in the signature's order and number, because Spark does not pass
    the names of loose columns to a function: a wrong order of columns of one type is not noticed.

    The UDF is marked non-deterministic, so that Spark runs the model once for a row also where a filter on the
    prediction follows; filters on other columns, which Spark then no longer moves below the model, belong before it.
    A column expression cannot ask for resources: each task has what the application gives every task, by
    ``spark.task.cpus`` and ``spark.task.resource.gpu.amount``. `spark_infer.score` has ``resources``.

    Types are checked in the first task, since a UDF does not see the table before: `spark_infer.score` checks earlier.

    Args:
        spark: The session.
        model_uri: ``models:/name@alias``, ``models:/name/3``, ``runs:/…``, a folder, or a `ModelRef`.
        result_type: Type of the only prediction, whatever its name, or of the struct of predictions; an array<…> also
            takes several predictions of one type. By default the signature's.
        env_manager: ``local``, which is the default: the model runs in the Python of Spark's workers. MLflow's other
            values are refused, because no environments are built; the log names the libraries that differ from its own.
        params: Inference parameters of the model's signature.
        extra_env: Environment variables that the model has while it loads and predicts. Their values are never shown.
        prebuilt_env_uri: Refused, as other values of ``env_manager`` are.
        model_config: Values that take the place of those of the ``model_config`` that the model was logged with, or
            the path of a YAML file with them.
        output: A name for the only output, or a mapping that renames and chooses among several.
        postprocess: Steps over the outputs, as in a job file.
        batch_size: Most rows per predict call (default: what suits the model, most often 10 000).
        max_batch_bytes: Bytes per predict call (default 64 MiB).
        inputs: Columns for a model that names none, in its order.
        backend: ``auto``, or the backend that must serve: a flavor that has a native one, or ``pyfunc``.
        predict_method: ``predict``, ``predict_proba``, ``decision_function``, or several.
        allow_casts: ``decimal->double``, ``double->float`` and ``long->double`` happen only when listed here.
        deduplicate: ``auto`` or ``always`` predicts equal rows once (default ``never``).
        row_order: ``trust`` takes the model's answers in their order also where an output that repeats an input shows
            that they belong to other rows (default ``check``, an error).
        cache_bytes: Bytes of loaded models that a Python worker may keep (default 4 GiB).
        load_seconds: How long a worker may take to load the model before it is stopped (default half an hour).
        predict_seconds: The same for one predict call.
        model_files: A folder that every node mounts, or an object store's URI, by which the model's files reach the
            workers; by default Spark sends them.
        tracking_uri: MLflow tracking server, where it is not MLflow's own setting.
        registry_uri: MLflow registry, where it is not the tracking server.

    Returns:
        The UDF. One output comes back as its own type, several as a struct; a struct that ``result_type`` declares
        stays one, also with one field.

    Raises:
        PlanError: The model cannot be found or served, or an option does not fit it.
    """
    refuse_environments(env_manager, prebuilt_env_uri)
    options = make_options(
        inputs=inputs,
        params=params,
        model_config=model_config,
        extra_env=extra_env,
        backend=backend,
        predict_method=predict_method,
        result_type=as_ddl(result_type),
        allow_casts=allow_casts,
        postprocess=postprocess,
        batch_size=batch_size,
        max_batch_bytes=max_batch_bytes,
        deduplicate=deduplicate,
        row_order=row_order,
        cache_bytes=cache_bytes,
        load_seconds=load_seconds,
        predict_seconds=predict_seconds,
        model_files=model_files,
    )
    stage = plan_stage(spark, ResourceOptions())
    store = open_store()
    ref = pin(model_uri, store, tracking_uri=tracking_uri, registry_uri=registry_uri)
    if runs_in_spark(ref.mlmodel):
        raise ModelRefusedError(
            f"{ref} is a Spark ML pipeline: Spark runs it itself, and no UDF can.",
            next_step="use spark_infer.score(df, …) or score_table: they run its transform.",
        )
    prepared = prepare(
        spark,
        ref,
        expected_schema(ref.mlmodel.signature, options.inputs),
        options,
        store=store,
        stage=stage,
        keep=(),
        output=output if isinstance(output, str) or output is None else mapping(output, "output"),
    )
    for warning in prepared.recipe.warnings():
        logger.warning("%s: %s", ref, warning)
    ship(spark, prepared.store, prepared.files)
    keeps_struct = output is None and is_struct(result_type)
    return _callable(prepared, options.inputs, keeps_struct=keeps_struct)


def _callable(prepared: Prepared, inputs: Sequence[str] | None, *, keeps_struct: bool) -> ModelUdf:
    recipe = prepared.recipe
    as_struct = len(recipe.outputs) > 1 or (keeps_struct and len(recipe.raw_outputs) == 1)
    return_type: DataType = to_spark(recipe.outputs) if as_struct else to_spark(recipe.outputs).fields[0].dataType
    if is_remote():
        return_type = plain_strings(return_type)
    udf = iterator_udf(_worker_function(prepared, as_struct=as_struct), return_type).asNondeterministic()
    signature = recipe.ref.mlmodel.signature
    names = (signature.names if signature else None) or inputs
    optional = {item.name for item in signature.inputs if not getattr(item, "required", True)} if signature else set()
    required = set(names or ()) - optional

    @functools.wraps(udf)
    def predict(*columns: str | Column, **named: str | Column) -> Column:
        expression: Column = udf(_argument(columns, named, names, required, recipe.label))
        return expression

    predict.model = recipe.ref  # type: ignore[attr-defined]
    return predict  # type: ignore[return-value]


def _worker_function(
    prepared: Prepared, *, as_struct: bool
) -> Callable[[Iterator[list[pa.Array]]], Iterator[pa.Array]]:
    return functools.partial(predict_columns, recipe=prepared.recipe, files=prepared.files, as_struct=as_struct)


def _argument(
    columns: Sequence[str | Column],
    named: Mapping[str, str | Column],
    names: Sequence[str] | None,
    required: Set[str],
    label: str,
) -> Column:
    if named and columns:
        raise ConfigError("Pass the columns either by position or by name, not both.")
    if named:
        unknown = sorted(set(named) - set(names or named))
        if unknown:
            raise SchemaMismatchError(
                f"{label} takes no column {unknown}.", problems=[f"its columns are {list(names or ())}"]
            )
        _require(required - set(named), label)
        return F.struct(*(_column(column).alias(name) for name, column in named.items()))
    if not columns:
        if names is None:
            raise ConfigError(
                f"{label} names no columns, so predict() cannot find them.",
                next_step="say which with inputs=[…], or pass the columns.",
            )
        return F.struct(*(F.col(quoted(name)).alias(name) for name in names))
    if len(columns) == 1 and isinstance(columns[0], Column):
        return columns[0]
    if all(isinstance(column, str) for column in columns) and "*" not in columns:
        # ``a.b`` is field b of a struct, and arrives as b.
        given = {last_part(str(column)) for column in columns}
        _require(required - given, label)
        for name in sorted(set(names or ()) - given):
            if near := nearest_names(name, given - set(names or ())):
                logger.warning("The call leaves out %r, which %s may take%s.", name, label, did_you_mean(near))
    return F.struct(*(_column(column) for column in columns))


def _require(missing: Set[str], label: str) -> None:
    if missing:
        raise SchemaMismatchError(
            f"The call leaves out columns that {label} takes.",
            problems=[f"column {name!r} is missing" for name in sorted(missing)],
            next_step="name every column, or none: predict() takes all of them from the table.",
        )


def _column(column: str | Column) -> Column:
    return F.col(column) if isinstance(column, str) else column
