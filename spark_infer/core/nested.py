"""Nested columns as objects for a model's frame: arrays are numpy arrays of the declared width, structs and maps dicts.

So pandas UDFs have them, and with them `mlflow.pyfunc.spark_udf`. MLflow's enforcement of a signature depends on it: to
it, a list of Python's numbers is an array of 64 bits, which it refuses for ``float`` and ``integer``.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from spark_infer.core.signature import is_list

Scalars = Callable[[pa.Array], list[Any]]
"""Turns what is not nested into single values, with None for null."""


def nested(array: pa.Array, scalars: Scalars) -> list[Any]:
    """Return the values of a column, which are the caller's own; None for null.

    A null in an array of floats is NaN; where another array holds one, it is an array of objects with None. An array of
    arrays is an array of objects that are arrays. Where these differ in length, or one is null, it is a list of them,
    since MLflow's enforcement makes one matrix out of the former.

    Args:
        array: The column.
        scalars: How single values are given.

    Raises:
        KeyError: A map has one key twice.
    """
    if is_list(array.type):
        return _with_nulls(_arrays(array, scalars), array)
    if pa.types.is_map(array.type):
        return _with_nulls(_dicts(array, scalars), array)
    if pa.types.is_struct(array.type):
        names = [field.name for field in array.type]
        columns = [nested(pc.struct_field(array, [index]), scalars) for index in range(len(names))]
        return _with_nulls((dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)), array)
    return scalars(array)


def sized_scalars(array: pa.Array) -> list[Any]:
    """Return single values as Python's, but numbers of 32 bits as numpy's, since Python's have 64."""
    if array.type not in (pa.float32(), pa.int32()):
        return array.to_pylist()  # type: ignore[no-any-return]  # Arrow has no types
    return _with_nulls(pc.fill_null(array, 0).to_numpy(), array)


def turned_nulls(array: pa.Array, declared: pa.DataType) -> pa.DataType | None:
    """Find nulls that MLflow's enforcement turns into values: inside arrays of texts, bytes and booleans.

    It makes numpy arrays of these types, which hold the text ``None`` and False instead.

    Args:
        array: The column.
        declared: Its type in the signature; where that says any, nothing is turned.

    Returns:
        The type of the array that holds such a null; None where there is none.
    """
    inside: list[tuple[pa.Array, pa.DataType]] = []
    if is_list(declared) and is_list(array.type):
        values, inner = array.flatten(), declared.value_type
        if inner in (pa.string(), pa.binary(), pa.bool_()) and values.null_count:
            return declared
        inside = [(values, inner)]
    elif pa.types.is_map(declared) and pa.types.is_map(array.type):
        _, (items,) = _parts(array, array.items)
        inside = [(items, declared.item_type)]
    elif pa.types.is_struct(declared) and pa.types.is_struct(array.type):
        names = [field.name for field in array.type]
        inside = [
            (pc.struct_field(array, [names.index(field.name)]), field.type) for field in declared if field.name in names
        ]
    return next((found for each in inside if (found := turned_nulls(*each)) is not None), None)


def _with_nulls(values: Iterable[Any], array: pa.Array) -> list[Any]:
    if not array.null_count:
        return list(values)
    return [value if valid else None for value, valid in zip(values, array.is_valid().to_pylist(), strict=True)]


def _parts(array: pa.Array, *inner: pa.Array) -> tuple[list[tuple[int, int]], list[pa.Array]]:
    """Where the values of each row are, and what lies in the rows; a sliced array shows the values of others too."""
    ends = array.offsets.to_numpy()
    first, last = int(ends[0]), int(ends[-1])
    places = (ends - first).tolist()
    return list(itertools.pairwise(places)), [each.slice(first, last - first) for each in inner]


def _dicts(array: pa.MapArray, scalars: Scalars) -> Iterable[dict[Any, Any]]:
    places, (keys, items) = _parts(array, array.keys, array.items)
    names, values = nested(keys, scalars), nested(items, scalars)
    for start, end in places:
        row = dict(zip(names[start:end], values[start:end], strict=True))
        if len(row) < end - start:
            raise KeyError("a map has one key twice")
        yield row


def _arrays(array: pa.ListArray, scalars: Scalars) -> Iterable[Any]:
    places, (values,) = _parts(array, array.values)
    if is_list(values.type):
        inner = nested(values, scalars)
        return [_array_of_arrays(inner[start:end]) for start, end in places]
    numbers = pa.types.is_integer(values.type) or pa.types.is_boolean(values.type)
    if pa.types.is_floating(values.type):
        flat = np.array(values.to_numpy(zero_copy_only=False))
    elif numbers:
        flat = np.array(pc.fill_null(values, False if pa.types.is_boolean(values.type) else 0).to_numpy(False))
    else:
        flat = _objects(nested(values, scalars))
    rows = [flat[start:end] for start, end in places]
    if numbers and values.null_count:
        missing = values.is_null().to_numpy(zero_copy_only=False)
        return [_with_none(row, missing[start:end]) for row, (start, end) in zip(rows, places, strict=True)]
    return rows


def _with_none(row: npt.NDArray[Any], missing: npt.NDArray[np.bool_]) -> npt.NDArray[Any]:
    if missing.any():
        row = row.astype(object)
        row[missing] = None
    return row


def _array_of_arrays(row: list[Any]) -> Any:
    shapes = {_shape(each) for each in row}
    return _objects(row) if len(shapes) < 2 and None not in shapes else row


def _shape(value: Any) -> tuple[int, ...] | None:
    """Shape of the matrix that MLflow would make of an array; None where it cannot."""
    if not isinstance(value, np.ndarray):
        return None
    inner = _shape(value[0]) if len(value) and isinstance(value[0], np.ndarray) else ()
    return None if inner is None else (len(value), *inner)


def _objects(values: list[Any]) -> npt.NDArray[Any]:
    # One by one: of arrays of one length, an assignment would make a matrix.
    return np.fromiter(values, dtype=object, count=len(values))
