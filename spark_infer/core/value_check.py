"""The cast of what a model returned to what was declared: exact, or refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from spark_infer.core.casts import exact


def cast_prediction(array: pa.Array, wanted: pa.DataType) -> pa.Array:
    """Cast what is not nested, and refuse what Arrow's cast lets pass.

    Arrow reads numbers out of text, takes numbers for times and for truth values, cuts the hours off a date, rounds to
    the digits of a decimal, and makes too large a double an infinite float.

    Raises:
        ValueError: A value does not fit (`pyarrow.ArrowInvalid` is one).
    """
    types = pa.types
    if types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if array.type == wanted:
        return array
    kinds = _kind(array.type), _kind(wanted)
    if kinds == ("number", "truth"):
        return _truth(array)
    if kinds[1] == "text" and kinds[0] not in ("text", "bytes") and not types.is_nested(array.type):
        return as_text(array)
    if kinds[0] != kinds[1] and kinds not in _ACROSS:
        raise ValueError(f"{array.type} is no {wanted}")
    if types.is_boolean(array.type):
        array = pc.cast(array, pa.int8())
    if types.is_decimal(wanted):
        return _decimal(array, wanted)
    cast = exact(array, wanted)
    if types.is_date(wanted) and not pc.cast(cast, array.type).equals(array):
        raise ValueError("a time of day has no place in a date")
    return cast


_ACROSS = {("truth", "number"), ("text", "bytes"), ("bytes", "text")}
"""Kinds of values that are read as another kind."""


def _kind(data_type: pa.DataType) -> str:
    types = pa.types
    if types.is_integer(data_type) or types.is_floating(data_type) or types.is_decimal(data_type):
        return "number"
    if types.is_boolean(data_type):
        return "truth"
    if types.is_timestamp(data_type) or types.is_date(data_type):
        return "time"
    if types.is_string(data_type) or types.is_large_string(data_type):
        return "text"
    if types.is_binary(data_type) or types.is_large_binary(data_type) or types.is_fixed_size_binary(data_type):
        return "bytes"
    return str(data_type)


def _truth(array: pa.Array) -> pa.Array:
    if not pc.all(pc.is_in(array, pa.array([0, 1, None], array.type))).as_py():
        raise ValueError("a number other than 0 and 1 is no truth value")
    return pc.cast(array, pa.bool_())


def _decimal(array: pa.Array, wanted: pa.DataType) -> pa.Array:
    if pa.types.is_integer(array.type):
        # Arrow asks for the digits that the type could have; what counts are those the values have.
        return pc.cast(pc.cast(array, pa.decimal128(20, 0)), wanted)
    cast = pc.cast(array, wanted)
    if pa.types.is_floating(array.type) and not np.array_equal(
        exact(cast, array.type).to_numpy(zero_copy_only=False), array.to_numpy(zero_copy_only=False), equal_nan=True
    ):
        raise ValueError("a number has more digits than the decimal")
    return cast


def as_text(array: pa.Array) -> pa.Array:
    """Return the texts of an array that is not nested."""
    return pa.array([text(value) for value in array.to_pylist()], pa.string())


def text(value: Any) -> str | None:
    """Return the text of one value; None for what pandas takes for missing.

    >>> text(1.0), text(np.float32(0.5)), text(True), text(float("nan"))
    ('1.0', '0.5', 'True', None)
    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, np.datetime64 | np.timedelta64):
        value = pa.scalar(value).as_py()
    elif isinstance(value, np.generic):
        # As the number that Python has for it: numpy spells a float32 in fewer digits than the double that it equals.
        value = value.item()
    # NaN differs from itself. The other two are pandas' own marks, and pandas is not known here.
    missing = type(value).__name__ in ("NAType", "NaTType") or (isinstance(value, float) and value != value)
    return None if missing or value is None else str(value)
