"""Arrow arrays out of Python's values, by the declared type: what a model may return for a row, in any mixture."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from typing import Any

import numpy as np
import pyarrow as pa

from spark_infer.core.casts import retype
from spark_infer.core.signature import is_list
from spark_infer.core.value_check import cast_prediction, text
from spark_infer.errors import PredictionShapeError

_SINGLE = (float, str, int, bool, bytes)
"""Python's own types of values that have no parts; found by themselves, since most values are of these."""


def build(rows: Sequence[Any], wanted: pa.DataType) -> pa.Array:
    """Make an array of exactly the wanted type out of one value for each row.

    What belongs into a row depends on that row alone. As with `mlflow.pyfunc.spark_udf`, an array of one value serves
    as a number, None and NaN as a missing array, object or map. Fields of objects bind by name: of dicts, dataclasses,
    named tuples and pydantic models; plain tuples, which have no names, bind by position.

    Raises:
        ValueError, TypeError: A value is not of the wanted type, does not fit exactly, or has too many elements.
    """
    if is_list(wanted):
        return _lists(rows, wanted)
    if pa.types.is_map(wanted):
        return _maps(rows, wanted)
    if pa.types.is_struct(wanted):
        return _structs(rows, wanted)
    return _scalars(rows, wanted)


def is_missing(value: Any) -> bool:
    """Whether a value stands for none: None, NaN, and pandas' own marks, which are not known here."""
    if value is None or isinstance(value, float):
        return value is None or value != value
    if type(value) in _SINGLE or isinstance(value, dict | list | tuple):
        return False
    return value is np.ma.masked or type(value).__name__ in ("NAType", "NaTType") or _is_nan(value)


def is_sequence(value: Any) -> bool:
    """Whether a value has elements by position: a list, a tuple, or anything that numpy takes for an array."""
    if isinstance(value, np.ndarray):
        return value.ndim > 0
    if isinstance(value, np.generic) or fields_of(value) is not None:
        return False
    return isinstance(value, list | tuple) or (hasattr(value, "__array__") and np.ndim(value) > 0)


def fields_of(value: Any) -> dict[str, Any] | None:
    """Return the fields of a value that has names for them; None for others."""
    if isinstance(value, dict):
        fields = {str(name): each for name, each in value.items()}
        if len(fields) < len(value):
            raise PredictionShapeError(
                "The model returned a dict with two keys of one text, such as 1 and '1'.",
                next_step="let the model give each of its values a name of its own.",
            )
        return fields
    if hasattr(value, "model_dump"):
        return dict(value.model_dump())
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return dict(zip(value._fields, value, strict=True))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return None


def _is_nan(value: Any) -> bool:
    return isinstance(value, float | np.floating) and bool(value != value)


def _lists(rows: Sequence[Any], wanted: pa.DataType) -> pa.Array:
    found = [None if is_missing(row) else elements(row) for row in rows]
    values = build([value for row in found if row is not None for value in row], wanted.value_type)
    return pa.ListArray.from_arrays(_offsets(found), values).cast(wanted)


def elements(row: Any) -> list[Any]:
    """Return the elements of a sequence as they are: numpy would make doubles of integers beside a missing one.

    Raises:
        TypeError: It is no sequence.
    """
    if not is_sequence(row):
        raise TypeError(f"{type(row).__name__} is not an array")
    if not isinstance(row, list | tuple | np.ndarray):
        # Arrow's arrays, and those of pandas and torch.
        row = row.to_pylist() if hasattr(row, "to_pylist") else row.tolist() if hasattr(row, "tolist") else row
    return list(row if isinstance(row, list | tuple | np.ndarray) else np.asarray(row))


def _maps(rows: Sequence[Any], wanted: pa.MapType) -> pa.Array:
    found = [None if is_missing(row) else _pairs(row) for row in rows]
    keys = build([key for row in found if row is not None for key, _ in row], wanted.key_type)
    items = build([item for row in found if row is not None for _, item in row], wanted.item_type)
    texts = iter(keys.to_pylist())
    for row in found:
        if row is not None and len({next(texts) for _ in row}) < len(row):
            raise ValueError("a map has one key twice")
    return pa.MapArray.from_arrays(_offsets(found), keys, items).cast(wanted)


def _pairs(row: Any) -> list[tuple[Any, Any]]:
    if isinstance(row, dict):
        return list(row.items())  # its keys keep their type
    fields = fields_of(row)
    pairs = row if fields is None else fields.items()
    if any(isinstance(pair, str | bytes | set | frozenset) for pair in pairs):
        raise TypeError("a map is made of pairs")
    return [(key, item) for key, item in pairs]


def _offsets(rows: Sequence[Sequence[Any] | None]) -> pa.Array:
    ends = np.cumsum([0, *(0 if row is None else len(row) for row in rows)])
    return pa.array(ends, pa.int32(), mask=np.array([*(row is None for row in rows), False]))


def _structs(rows: Sequence[Any], wanted: pa.StructType) -> pa.Array:
    found = [None if is_missing(row) else _fields(row, wanted) for row in rows]
    children = [build([None if row is None else row.get(field.name) for row in found], field.type) for field in wanted]
    missing = pa.array([row is None for row in found], pa.bool_())
    return pa.StructArray.from_arrays(children, fields=list(wanted), mask=missing)


def _fields(row: Any, wanted: pa.StructType) -> dict[str, Any]:
    fields = fields_of(row)
    if fields is None and isinstance(row, tuple) and len(row) == len(wanted):
        fields = dict(zip((field.name for field in wanted), row, strict=True))
    if fields is None:
        raise TypeError(f"{type(row).__name__} is not an object")
    check_case(fields, [field.name for field in wanted])
    return fields


def check_case(given: Mapping[str, Any], wanted: Sequence[str]) -> None:
    """Refuse a row without a field that it has in another case: ``Label`` for ``label`` would be a null.

    Raises:
        PredictionShapeError: There is such a field.
    """
    missing = [name for name in wanted if name not in given]
    if not missing:
        return
    folded = {name.casefold(): name for name in given if name not in wanted}
    for name in missing:
        if name.casefold() in folded:
            raise PredictionShapeError(
                f"The model returned a row with {folded[name.casefold()]!r} and without {name!r}.",
                next_step="upper and lower case differ: let the model return one name in all rows, as it is declared.",
            )


def _scalars(rows: Sequence[Any], wanted: pa.DataType) -> pa.Array:
    values = [row if type(row) in _SINGLE else _single(row) for row in rows]
    if pa.types.is_string(wanted):
        values = [value if isinstance(value, bytes) else text(value) for value in values]
    return retype(scalars(values, wanted), wanted, cast_prediction)


def scalars(values: Sequence[Any], wanted: pa.DataType) -> pa.Array:
    """Make an array of what is not nested, of the wanted type where Arrow changes no value on the way.

    Else of the type that the values have, so that 1.5 stays 1.5 and noon stays noon until a cast refuses them. NaN
    among text or integers is pandas' mark for a missing value; among floats it is a number of its own.
    """
    exact = wanted in (pa.float64(), pa.string(), pa.binary())
    return pa.array(_whole(values), type=wanted if exact else None, from_pandas=not pa.types.is_floating(wanted))


def _whole(values: Sequence[Any]) -> Sequence[Any]:
    """Values of which Arrow cuts nothing off.

    It makes negative doubles of the largest unsigned integers, midnight of each time after a date, and microseconds of
    nanoseconds.
    """
    found = set(map(type, values))
    if np.uint64 in found:
        values = [int(value) if isinstance(value, np.uint64) else value for value in values]
    if not any(issubclass(each, datetime) for each in found):
        return values
    if any(getattr(value, "nanosecond", 0) for value in values):
        raise ValueError("nanoseconds have no place in a time of microseconds")
    if date in found:
        values = [datetime.combine(value, time()) if type(value) is date else value for value in values]
    return values


def _single(value: Any) -> Any:
    """The only element of a sequence, however deep; other values as they are."""
    while value is not np.ma.masked and (isinstance(value, np.ndarray) or is_sequence(value)):
        if isinstance(value, np.ndarray) and value.ndim == 0:
            value = value[()]
            continue
        parts = elements(value)
        if len(parts) != 1:
            raise TypeError("several values stand where one is declared")
        value = parts[0]
    if hasattr(value, "__array__") and not isinstance(value, np.generic | np.ndarray):
        value = np.asarray(value)[()]  # such as a torch tensor without axes
    if fields_of(value) is not None:
        raise TypeError(f"{type(value).__name__} is not a single value")
    return None if is_missing(value) and not _is_nan(value) else value
