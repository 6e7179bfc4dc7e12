"""The column door: `model_udf`."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import pyarrow as pa
from pyspark.sql import Column, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import DataType
from pyspark.sql.utils import is_remote
from typing_extensions import Unpack

from spark_infer.config import ResourceOptions
from spark_infer.config.keywords import UdfKeywords, mapping, spells_out
from spark_infer.core.arguments import ModelColumns
from spark_infer.core.prediction_columns import ONLY_OUTPUT
from spark_infer.errors import ConfigError, ModelRefusedError, SchemaMismatchError, nearest
from spark_infer.models.backends.choose_backend import runs_in_spark
from spark_infer.models.callables.callable_model import AnyModel
from spark_infer.models.driver import open_store
from spark_infer.models.expected_schema import expected_schema, stand_in_inputs
from spark_infer.models.pins import refuse_environments
from spark_infer.models.ref import ModelRef
from spark_infer.spark.mapping import plain_strings
from spark_infer.spark.prepare import Prepared, make_options, pin, prepare
from spark_infer.spark.resources.stage import plan_stage
from spark_infer.spark.schema import as_ddl, is_struct, last_part, to_spark
from spark_infer.spark.ship import ship
from spark_infer.spark.versions import iterator_udf
from spark_infer.spark.worker import predict_columns
from spark_infer.tables.predicate import quote_name
from spark_infer.tables.spark_json import plain

logger = logging.getLogger(__name__)

_LACKS = {
    "compile": "a compiled model is compared on rows of the table first, which a UDF does not see; use score",
    "decode": "a UDF takes the model's columns, not the table's; use score",
    "preprocess": "a UDF takes the model's columns, not the table's; make them with Spark's functions, or use score",
    "resources": "a column expression cannot ask for resources; use score, or set them for the application",
    "where": "a UDF returns a value for each row; filter the DataFrame, or use score",
    "keep": "a UDF returns a column, and the others stay; select them, or use score",
}
"""Options of `score` that a column expression cannot have."""


class ModelUdf(Protocol):
    """A vectorized UDF that knows its model; ``spark.udf.register`` takes it."""

    model: ModelRef
    returnType: DataType

    def __call__(self, *columns: str | Column, **named: str | Column) -> Column:
        """Build the column expression."""
        ...


@spells_out(UdfKeywords)
def model_udf(
    spark: SparkSession,
    model_uri: AnyModel,
    result_type: str | DataType | None = None,
    env_manager: str | None = None,
    params: Mapping[str, Any] | None = None,
    extra_env: Mapping[str, str] | None = None,
    prebuilt_env_uri: str | None = None,
    model_config: Mapping[str, Any] | str | os.PathLike[str] | None = None,
    *,
    output: str | Mapping[str, str] | None = None,
    deterministic: bool = False,
    tracking_uri: str | None = None,
    registry_uri: str | None = None,
    **options: Unpack[UdfKeywords],
) -> ModelUdf:
    """Make a model a vectorized UDF: the replacement for ``mlflow.pyfunc.spark_udf``.

    Call styles, all binding by name:

    - ``predict()``: the columns that the signature names.
    - ``predict("a", "b")`` or ``predict(col("a"), col("b"))``, in any order; more columns than the model
      has do no harm.
    - ``predict(struct("*"))`` or ``predict("s")`` with a struct column ``s``: the fields of one struct.
    - ``predict(age=col("years"))``: another column, or an expression, under the model's name.

    Loose columns whose names are not the model's, such as ``col("a").cast("double")``, which has none, bind by position
    where there are as many as the model has, optional ones included, and no name is like that of another of its
    columns; each worker logs the order that was assumed. Else they are an error; ``.alias("a")`` gives an expression
    its name.

    In SQL, after ``spark.udf.register("predict", udf)``: ``predict(struct(*))`` and ``predict(struct(a + 1 AS x, y))``
    bind by name. ``predict(a, b)`` binds by position, in the signature's order and number, because Spark does not pass
    the names of loose columns to a function: a wrong order of columns of one type is not noticed.

    A model that names no columns gets the names that ``spark_udf`` gives: a struct's fields keep theirs, loose columns
    are numbered (0, 1, … where there is a signature, the texts "0", "1", … where there is none).

    The UDF is marked non-deterministic, so that Spark runs the model once for a row also where a filter on the
    prediction follows; filters on other columns, which Spark then no longer moves below the model, belong before it.
    Spark refuses such expressions in the arguments of an aggregate function and in join conditions: score in a column
    first, or pass ``deterministic=True``.
    A column expression cannot ask for resources: each task has what the application gives every task, by
    ``spark.task.cpus`` and ``spark.task.resource.gpu.amount``. `spark_infer.score` has ``resources``.

    Types are checked in the first task, since a UDF does not see the table before: `spark_infer.score` checks earlier.

    Args:
        spark: The session.
        model_uri: ``models:/name@alias``, ``models:/name/3``, ``runs:/…``, a folder, a `ModelRef`, or a plain
            Python function, class or `CallableModel`.
        result_type: Type of the only prediction, whatever its name, or of the struct of predictions; an array<…> also
            takes several predictions of one type. By default the signature's, else what the
            model's framework knows, else ``double``.
        env_manager: ``local``, which is the default: the model runs in the Python of Spark's workers. MLflow's other
            values are refused, because no environments are built; the log names the libraries that differ from its own.
        params: Inference parameters of the model's signature.
        extra_env: Environment variables that the model has while it loads and predicts. Their values are never shown.
        prebuilt_env_uri: Refused, as other values of ``env_manager`` are.
        model_config: Values that replace those of the ``model_config`` that the model was logged with, or
            the path of a YAML file with them.
        output: A name for the only output, or a mapping that renames and chooses among several.
        deterministic: Whether Spark may take equal calls for equal answers, as with ``spark_udf``: the UDF can then
            stand in aggregates and join conditions, and Spark may run the model more than once for a row.
        tracking_uri: MLflow tracking server, where it is not MLflow's own setting.
        registry_uri: MLflow registry, where it is not the tracking server.
        **options: How rows are scored; `UdfKeywords` has their names and types, `ScoreOptions` what they mean.

    Returns:
        The UDF. One output comes back as its own type, several as a struct; a struct that ``result_type`` declares
        stays one, also with one field.

    Raises:
        PlanError: The model cannot be found or served, or an option does not fit it.

    Example:
        >>> predict = model_udf(spark, "models:/flight_delay@champion")
        >>> late = flights.withColumn("arr_delay", predict()).where("arr_delay > 15")
        >>> late.select("flight_id", "arr_delay").show()
        +---------+---------+
        |flight_id|arr_delay|
        +---------+---------+
        |        2|     28.0|
        +---------+---------+
        <BLANKLINE>
    """
    refuse_environments(env_manager, prebuilt_env_uri)
    asked = make_options(
        model_udf,
        _LACKS,
        params=params,
        model_config=model_config,
        extra_env=extra_env,
        result_type=as_ddl(result_type),
        **options,
    )
    stage = plan_stage(spark, ResourceOptions())
    store = open_store()
    ref = pin(model_uri, asked, store, tracking_uri=tracking_uri, registry_uri=registry_uri)
    if runs_in_spark(ref.mlmodel):
        raise ModelRefusedError(
            f"{ref} is a Spark ML pipeline: Spark runs it itself, and no UDF can.",
            next_step="use spark_infer.score(df, …) or score_table: they run its transform.",
        )
    columns = ModelColumns(label=str(ref), signature=ref.mlmodel.signature, inputs=asked.inputs)
    # Where nothing names the columns, numbers stand in for them until the call brings them.
    inputs = asked.inputs if columns.names else stand_in_inputs(ref.mlmodel.signature)
    prepared = prepare(
        spark,
        ref,
        expected_schema(ref.mlmodel.signature, inputs),
        asked.model_copy(update={"inputs": inputs, "error_column": asked.error_column or ""}),
        store=store,
        stage=stage,
        keep=(),
        output=output if isinstance(output, str) or output is None else mapping(output, "output"),
        undeclared=pa.schema([(ONLY_OUTPUT, pa.float64())]) if asked.predict_method is None else None,
    )
    for warning in prepared.recipe.warnings():
        logger.warning("%s: %s", ref, warning)
    ship(spark, prepared.store, prepared.files)
    prepared = replace(prepared, recipe=replace(prepared.recipe, options=asked))
    keeps_struct = output is None and is_struct(result_type)
    return _callable(prepared, columns, keeps_struct=keeps_struct, deterministic=deterministic)


def _callable(prepared: Prepared, columns: ModelColumns, *, keeps_struct: bool, deterministic: bool) -> ModelUdf:
    recipe = prepared.recipe
    as_struct = len(recipe.outputs) > 1 or (keeps_struct and len(recipe.raw_outputs) == 1)
    outputs = to_spark(plain(recipe.outputs))
    return_type: DataType = outputs if as_struct else outputs.fields[0].dataType
    if is_remote():
        return_type = plain_strings(return_type)

    def make(*, loose: bool) -> Any:
        function = functools.partial(
            predict_columns, recipe=recipe, files=prepared.files, as_struct=as_struct, loose=loose
        )
        made = iterator_udf(function, return_type)
        return made if deterministic else made.asNondeterministic()

    udf, udf_of_loose = make(loose=False), make(loose=True)

    @functools.wraps(udf)
    def predict(*given: str | Column, **named: str | Column) -> Column:
        if named and given:
            raise ConfigError("Pass the columns either by position or by name, not both.")
        if given:
            _check_names(given, columns)
            expression: Column = udf_of_loose(F.struct(*map(_column, given)))
        else:
            expression = udf(_struct(named, columns))
        return expression

    predict.model = recipe.ref  # type: ignore[attr-defined]
    return predict  # type: ignore[return-value]


def _struct(named: Mapping[str, str | Column], model: ModelColumns) -> Column:
    """Build the struct of a call by keywords, or of one without arguments."""
    if not named:
        if model.names is None:
            raise ConfigError(
                f"{model.label} names no columns, so predict() cannot find them.",
                next_step="say which with inputs=[…], or pass the columns.",
            )
        return F.struct(*(F.col(quote_name(name)).alias(name) for name in model.names))
    names = model.names or ()
    if names and (unknown := sorted(set(named) - set(names))):
        raise SchemaMismatchError(
            f"{model.label} takes no column {unknown}.",
            problems=[f"column {name!r} is unknown{nearest(name, names)}" for name in unknown],
            next_step=f"its columns are {', '.join(names)}.",
        )
    if missing := sorted(model.required - set(named)):
        raise SchemaMismatchError(
            f"The call leaves out columns that {model.label} takes.",
            problems=[f"column {name!r} is missing" for name in missing],
            next_step="name every column, or none: predict() takes all of them from the table.",
        )
    return F.struct(*(_column(column).alias(name) for name, column in named.items()))


def _check_names(given: Sequence[str | Column], model: ModelColumns) -> None:
    """Refuse at once what the first task would refuse, where the call shows all names.

    A single name may be that of a struct, which only the task sees.
    """
    if len(given) == 1 or not all(isinstance(column, str) for column in given) or "*" in given:
        return
    if model.names is None:
        model.refuse_count(len(given))
        return
    # ``a.b`` is field b of a struct, and arrives as b.
    names = [last_part(str(column)) for column in given]
    bound, by_position = model.place(names)
    if by_position:
        logger.warning(
            "%s: the columns %s are bound by position, as %s.", model.label, ", ".join(names), ", ".join(model.names)
        )
    for doubt in model.doubts(bound):
        logger.warning(doubt)


def _column(column: str | Column) -> Column:
    return F.col(column) if isinstance(column, str) else column
