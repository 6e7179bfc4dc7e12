"""Casts as Spark expressions: what `core.convert` does to Arrow columns, for models that Spark itself runs."""

from __future__ import annotations

import pyarrow as pa
from pyspark.ml.functions import array_to_vector, vector_to_array
from pyspark.ml.linalg import VectorUDT
from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, DataType, DoubleType, FloatType, IntegralType, TimestampType

from spark_infer.core.declared_types import cast_step
from spark_infer.core.signature import spelled
from spark_infer.errors import InputValueError, PredictionShapeError, SparkInferError
from spark_infer.spark.schema import arrow_type, spark_type

_EXACT = 2**53
"""Beyond it not every integer has a double of its own."""


def input_column(column: Column, name: str, got: DataType, wanted: pa.DataType, *, is_vector: bool) -> Column:
    """Give a pipeline a column in the type that its signature declares.

    A null stays null. Moments stay as the table has them: a pipeline was trained on Spark's own timestamps.

    Args:
        column: The table's column.
        name: Its name, for messages.
        got: Its Spark type.
        wanted: The declared type; the binding has found that `got` casts to it.
        is_vector: Whether the pipeline takes a Spark ML vector.
    """
    if isinstance(got, VectorUDT):
        return column if is_vector else vector_to_array(column)
    if is_vector:
        return array_to_vector(column.cast(ArrayType(DoubleType())))
    if pa.types.is_timestamp(wanted):
        return column.cast(TimestampType())
    target = spark_type(wanted)
    if isinstance(got, ArrayType) and isinstance(target, ArrayType):
        element = got.elementType
        return F.transform(column, lambda each: input_column(each, name, element, wanted.value_type, is_vector=False))
    step = cast_step(arrow_type(got), wanted)
    if step in ("long->double", "double->float"):
        problem = InputValueError(
            f"Column {name!r} holds a value that {spelled(wanted)} cannot hold exactly.",
            next_step=f"filter or round these rows with `where`, or log the model with {spelled(arrow_type(got))}.",
        )
        infinite = F.lit(float("inf"))
        rounds = (F.abs(column.cast(target)) != infinite) | (F.abs(column) == infinite)
        return _checked(column.between(-_EXACT, _EXACT) if step == "long->double" else rounds, column, target, problem)
    return column if got == target else column.cast(target)


def output_column(column: Column, name: str, got: DataType, wanted: pa.DataType) -> Column | None:
    """Turn a column that a pipeline made into the wanted type; None where there is no such cast.

    A vector becomes an array of doubles. A double becomes an integer where it is one, null where it is NaN, and is an
    error elsewhere.
    """
    if isinstance(got, VectorUDT):
        column, got = vector_to_array(column), ArrayType(DoubleType(), containsNull=False)
    target = spark_type(wanted)
    if isinstance(got, DoubleType | FloatType) and isinstance(target, IntegralType):
        problem = PredictionShapeError(
            f"The model returned a value of {name!r} that is not {spelled(wanted)}.",
            next_step="say the type you want with result_type, or log the model with the outputs it really returns.",
        )
        number = F.when(~F.isnan(column), column)
        # In doubles, where the bounds are exact: a cast of what does not fit may wrap round, or fail in other words.
        bound = 2.0 ** (wanted.bit_width - 1)
        fits = (F.rint(number) == number) & (number >= -bound) & (number < bound)
        return _checked(fits, number, target, problem)
    if isinstance(got, DoubleType) and isinstance(target, FloatType):
        return column.cast(target)
    step = cast_step(arrow_type(got), wanted)
    return None if step not in ("", "lossless", "long->double") else column.cast(target)


def _checked(fits: Column, column: Column, target: DataType, problem: SparkInferError) -> Column:
    # Spark hands the text on; `faults` knows our errors by it.
    text = f"{type(problem).__module__}.{type(problem).__name__}: {problem}"
    return F.when(column.isNull() | fits, column.cast(target)).otherwise(F.raise_error(F.lit(text)))
