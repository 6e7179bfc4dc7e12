"""What differs between the Spark versions, and nowhere else.

Spark 4.0 has no `arrow_udf`, and its schema conversion spells the time zone otherwise.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
from pyspark.sql import functions
from pyspark.sql.pandas import types as pandas_types
from pyspark.sql.types import DataType

HAS_ARROW_UDF = hasattr(functions, "arrow_udf")

ArrowFunction = Callable[[Iterator[list[pa.Array]]], Iterator[pa.Array]]
"""From batches of argument columns to batches of results; the results may lag behind, their total may not differ."""


def to_arrow_type(data_type: DataType) -> pa.DataType:
    """Arrow type in which Spark sends a column to Python; instants carry UTC.

    Raises:
        pyspark.errors.PySparkException: Arrow cannot carry the type.
    """
    convert: Any = functools.partial(pandas_types.to_arrow_type, error_on_duplicated_field_names_in_struct=True)
    if "timezone" in inspect.signature(convert).parameters:
        return convert(data_type, timezone="UTC")
    return convert(data_type)


def from_arrow_type(data_type: pa.DataType) -> DataType:
    """Spark type of an Arrow column; a timestamp without a zone becomes timestamp_ntz."""
    return pandas_types.from_arrow_type(data_type, prefer_timestamp_ntz=True)


def iterator_udf(function: ArrowFunction, return_type: DataType) -> Any:
    """Make a vectorized UDF out of a function on Arrow arrays.

    It is an `arrow_udf` where Spark has it (4.1 and later), else a `pandas_udf`, whose pandas frames cost time and turn
    a null in an integer column into a double: such a column is then refused, never rounded.
    """
    if HAS_ARROW_UDF:
        return _arrow_udf(function, return_type)
    return _pandas_udf(function, return_type)


def _arrow_udf(function: ArrowFunction, return_type: DataType) -> Any:
    # Spark reads these annotations when the function is declared.
    def predict(batches: Iterator[pa.Array]) -> Iterator[pa.Array]:
        return function(list(batch) if isinstance(batch, tuple) else [batch] for batch in batches)

    predict.__annotations__ = {"batches": Iterator[pa.Array], "return": Iterator[pa.Array]}
    return functions.arrow_udf(  # type: ignore[attr-defined,unused-ignore]
        predict, return_type
    )


def _pandas_udf(function: ArrowFunction, return_type: DataType) -> Any:
    def to_arrow(column: Any) -> pa.Array:
        if hasattr(column, "columns"):
            return pa.RecordBatch.from_pandas(column, preserve_index=False).to_struct_array()
        return pa.array(column, from_pandas=True)

    def to_pandas(array: pa.Array) -> Any:
        if pa.types.is_struct(array.type):
            return pa.RecordBatch.from_struct_array(array).to_pandas(integer_object_nulls=True)
        return array.to_pandas(integer_object_nulls=True)

    def predict(batches: Any) -> Any:
        arrays = ([to_arrow(c) for c in batch] if isinstance(batch, tuple) else [to_arrow(batch)] for batch in batches)
        return (to_pandas(result) for result in function(arrays))

    kind = functions.PandasUDFType.SCALAR_ITER  # type: ignore[attr-defined,unused-ignore]
    return functions.pandas_udf(predict, return_type, kind)  # type: ignore[attr-defined,unused-ignore]
