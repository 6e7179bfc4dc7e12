"""Predictions on their way out: named, typed Arrow columns from whatever arrays the model returned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spark_infer.core.build import build, check_case, elements, fields_of, is_missing, is_sequence, scalars
from spark_infer.core.casts import retype
from spark_infer.core.prediction_columns import ONLY_OUTPUT
from spark_infer.core.signature import is_list, spelled
from spark_infer.core.value_check import cast_prediction
from spark_infer.errors import PredictionShapeError

_MOST_NAMES = 10
_LONGEST_NAME = 60

Values: TypeAlias = npt.NDArray[Any] | Sequence[Any]
"""The values of one output: a numpy array, a list, or an Arrow array (which mypy takes for Any)."""
Predictions: TypeAlias = Mapping[str | None, Values]
"""What a model returns: output name to values, a value (or an array, or a dict) for each row. The key None stands
for the only output of a model that does not name it."""


def to_batch(predictions: Predictions, schema: pa.Schema, rows: int) -> pa.RecordBatch:
    """Turn what the model returned into a record batch of ``schema``.

    Outputs bind by name; an unnamed one stands for the only column.

    Raises:
        PredictionShapeError: Wrong number of rows, a missing output, or values of another type.
    """
    named = _named(predictions, schema)
    missing = [name for name in schema.names if name not in named]
    if missing == [ONLY_OUTPUT] and len(schema) == 1 and len(named) > 1:
        (wanted,) = schema.types
        return pa.RecordBatch.from_arrays([_side_by_side(named, wanted, rows)], schema=schema)
    if missing:
        raise PredictionShapeError(
            f"The model did not return the output(s) {missing}.",
            details=[f"it returned {_shown(sorted(named), _rows_with_names(predictions))}"],
            next_step="choose among the outputs that exist with `result_type`, or mend the model's signature.",
        )
    arrays = [to_array(named[field.name], field.name, field.type, rows) for field in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _named(predictions: Predictions, schema: pa.Schema) -> dict[str, Values]:
    only = predictions.get(None)
    if isinstance(only, list) and fields_of(next((row for row in only if not is_missing(row)), None)) is not None:
        return _columns(only, schema)
    names = [None if name is None else str(name) for name in predictions]
    if set(names) == set(schema.names):
        return {str(name): values for name, values in predictions.items()}
    if schema.names == [ONLY_OUTPUT] and len(names) == 1:
        # One output is one output, whatever the model calls it.
        return dict(zip(schema.names, predictions.values(), strict=True))
    if len(schema) > 1 and isinstance(only, np.ndarray) and only.ndim == 2 and only.shape[1] == len(schema):
        return dict(zip(schema.names, only.T, strict=True))
    # Unnamed outputs, and models that number theirs, go by position among themselves only.
    if len(names) == len(schema) and all(name is None or name.isdecimal() for name in names):
        return dict(zip(schema.names, predictions.values(), strict=True))
    return {str(name if name is not None else ONLY_OUTPUT): values for name, values in predictions.items()}


def _columns(rows: list[Any], schema: pa.Schema) -> dict[str, Values]:
    """Outputs out of rows that name them; rows that are the values of a single declared object or map stay whole."""
    found = [{} if is_missing(row) else fields_of(row) for row in rows]
    if None in found:
        raise PredictionShapeError("The model returned some rows with names for their values, and some without.")
    names = dict.fromkeys(name for row in found if row for name in row)
    if len(schema) == 1 and (schema.names[0] not in names or _is_a_map(found, schema)):
        (wanted,) = schema.types
        if is_list(wanted) and len(names) > 1:
            raise _not_one(names, wanted, "; the keys of dicts are in no order that an array could keep", rows=found)
        if pa.types.is_nested(wanted) and not is_list(wanted):
            return {schema.names[0]: rows}
    for row in found:
        if row:
            check_case(row, [name for name in schema.names if name in names])
    columns: dict[str | None, Values] = {name: [row.get(name) for row in found if row is not None] for name in names}
    return _named(columns, schema)


def _is_a_map(rows: Sequence[Mapping[str, Any] | None], schema: pa.Schema) -> bool:
    """Whether rows are the map that is declared, of which a key may have the output's name, and do not hold it."""
    (name,), (wanted,) = schema.names, schema.types
    inside = [row[name] for row in rows if row is not None and list(row) == [name]]
    holds = len(inside) == sum(bool(row) for row in rows) and any(fields_of(value) is not None for value in inside)
    return pa.types.is_map(wanted) and not holds


def _side_by_side(columns: Mapping[str, Values], wanted: pa.DataType, rows: int) -> pa.Array:
    """Make one array for each row out of the values of several outputs, in their order.

    Raises:
        PredictionShapeError: One type that is no array is declared, or one of other values than an output has.
    """
    inner = wanted.value_type if is_list(wanted) else None
    if inner is None or pa.types.is_nested(inner):
        raise _not_one(columns, wanted)
    odd = [name for name, values in columns.items() if _is_truth(values) != pa.types.is_boolean(inner)]
    if odd and not pa.types.is_string(inner):
        raise _not_one(columns, wanted, f"; {_shown(odd)} hold other values")
    arrays = [to_array(values, name, inner, rows) for name, values in columns.items()]
    order = np.arange(rows * len(arrays)).reshape(len(arrays), rows).T.reshape(-1)
    offsets = np.arange(rows + 1, dtype=np.int32) * len(arrays)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.concat_arrays(arrays).take(pa.array(order))).cast(wanted)


def _not_one(
    names: Iterable[str], wanted: pa.DataType, why: str = "", *, rows: Sequence[Mapping[str, Any] | None] = ()
) -> PredictionShapeError:
    return PredictionShapeError(
        f"The model returned the outputs {_shown(list(names), rows)}, "
        f"and one of type {spelled(wanted)} is declared{why}.",
        next_step="declare them by name, such as result_type='label string, score double', or let the model return a "
        "DataFrame of one type for an array<…>.",
    )


def _rows_with_names(predictions: Predictions) -> list[Mapping[str, Any] | None]:
    only = predictions.get(None)
    return [None if is_missing(row) else fields_of(row) for row in only] if isinstance(only, list) else []


def _shown(names: Sequence[str], rows: Sequence[Mapping[str, Any] | None] = ()) -> str:
    """Names of outputs for an error: a few short ones, and of dicts those that all rows have.

    A model may make keys of the values of its rows; a name that more than one row has is one of an output.
    """
    full = [row for row in rows if row]
    common = [name for name in names if all(name in row for row in full)] if len(full) != 1 else []
    shown = [name for name in common if len(name) <= _LONGEST_NAME][:_MOST_NAMES]
    others = len(names) - len(shown)
    return f"{shown} and {others:,} others" if shown and others else f"{others:,} names" if others else str(shown)


def _is_truth(values: Values) -> bool:
    if isinstance(values, np.ndarray):
        return values.dtype.kind == "b"
    if isinstance(values, pa.Array):
        return bool(pa.types.is_boolean(values.type))
    return any(isinstance(value, bool | np.bool_) for value in values)


def to_array(values: Values, name: str, wanted: pa.DataType, rows: int) -> pa.Array:
    """Turn one output into an Arrow array of exactly the wanted type.

    Numbers go over without a copy where the types agree; two- and more-dimensional arrays become lists with no work
    per row; NaN stays NaN in floating columns, None (and NaN among text) becomes null.

    Raises:
        PredictionShapeError: The number of rows or a value's type is wrong.
    """
    values = _column(values)
    if len(values) != rows:
        raise PredictionShapeError(
            f"The model returned {len(values)} value(s) of {name!r} for a batch of {rows} rows.",
            next_step="a model must return exactly one value for each row it was given.",
        )
    try:
        return retype(_raw_array(values, wanted), wanted, cast_prediction)
    except _MISFITS:
        pass  # Rows of an unusual form are read one by one.
    try:
        return build(_rows(values, wanted), wanted)
    except _MISFITS:
        got = str(values.dtype) if isinstance(values, np.ndarray) else type(values).__name__
        shape = getattr(values, "shape", (rows,))
        raise PredictionShapeError(
            f"The model returned {got} values of shape {tuple(shape)} for {name!r}: not {spelled(wanted)}.",
            next_step="say the type you want with result_type, or let the model declare what it really returns.",
        ) from None


_MISFITS = (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, ValueError, TypeError, OverflowError)


def _column(values: Values) -> Values:
    """A value that is not in a container is that of the only row."""
    return values.reshape(1) if isinstance(values, np.ndarray) and values.ndim == 0 else values


def _rows(values: Values, wanted: pa.DataType) -> list[Any]:
    rows = values.to_pylist() if isinstance(values, pa.Array) else list(values)
    if is_list(wanted) and not pa.types.is_nested(wanted.value_type):
        # One number is an array of one, as an array of one is a number where that is declared.
        return [row if is_missing(row) or is_sequence(row) or fields_of(row) is not None else [row] for row in rows]
    return rows


def _raw_array(values: Values, wanted: pa.DataType) -> pa.Array:
    if isinstance(values, pa.Array):
        return values
    array = values if isinstance(values, np.ndarray) else None
    if array is not None and array.ndim == 2 and array.shape[1] == 1 and not is_list(wanted):
        array = array[:, 0]
    if array is not None and array.ndim > 1 and array.dtype != object:
        return _nested(array)
    if array is not None and array.dtype.kind in "biufM":
        return _flat(array, wanted)
    rows = list(values if array is None else array)
    depth, leaf = 0, wanted
    while is_list(leaf):
        depth, leaf = depth + 1, leaf.value_type
    if pa.types.is_nested(leaf):
        return build(rows, wanted)
    if not depth:
        return _plain(scalars(rows, wanted), leaf)
    if _is_unlike_arrow(rows, depth):
        raise TypeError("rows that Arrow reads otherwise")
    rows = [None if is_missing(row) else _by_position(row) for row in rows]
    if any(isinstance(row, np.ndarray) and row.ndim > 1 for row in rows):
        rows = [row.tolist() if isinstance(row, np.ndarray) else row for row in rows]
    # Arrow makes doubles of numbers and letters of a text without a word, where these are declared.
    return _plain(pa.array(rows, type=wanted if leaf == pa.float64() else None), leaf)


def _is_unlike_arrow(rows: Iterable[Any], depth: int) -> bool:
    """Whether there are rows that Arrow changes: masked or unsigned ones, and sets, which are in no order."""
    for row in rows:
        if isinstance(row, np.ma.MaskedArray | set | frozenset) or getattr(row, "dtype", None) == np.uint64:
            return True
        if isinstance(row, list | tuple) and np.uint64 in set(map(type, row)):
            return True
        inside = isinstance(row, list | tuple) or getattr(getattr(row, "dtype", None), "kind", None) == "O"
        if depth > 1 and inside and _is_unlike_arrow(row, depth - 1):
            return True
    return False


def _by_position(row: Any) -> Any:
    """A row whose elements Arrow finds by position: those of a Series it looks up by the labels of its index."""
    if isinstance(row, np.ndarray | np.generic) or not hasattr(row, "__array__"):
        return row
    return elements(row)


def _plain(array: pa.Array, leaf: pa.DataType) -> pa.Array:
    """The array itself, unless Arrow has made one type of values whose texts depend on their own."""
    found = array.type
    while is_list(found):
        found = found.value_type
    same = pa.types.is_string(found) or pa.types.is_binary(found) or pa.types.is_null(found)
    if pa.types.is_string(leaf) and not same:
        raise TypeError("values that are not text")
    if array.type != found and pa.types.is_temporal(found):
        raise TypeError("times of which Arrow may cut a part")
    return array


def _flat(array: npt.NDArray[Any], wanted: pa.DataType) -> pa.Array:
    mask = np.ma.getmaskarray(array) if isinstance(array, np.ma.MaskedArray) else None
    if array.dtype.kind == "f" and not pa.types.is_floating(wanted):
        missing = np.isnan(np.ma.getdata(array))
        mask = missing if mask is None else mask | missing
    return pa.array(np.ma.getdata(array), mask=mask)


def _nested(array: npt.NDArray[Any]) -> pa.Array:
    mask = np.ma.getmaskarray(array).reshape(-1) if isinstance(array, np.ma.MaskedArray) else None
    out = pa.array(np.ascontiguousarray(np.ma.getdata(array)).reshape(-1), mask=mask)
    for axis in range(array.ndim - 1, 0, -1):
        count = int(np.prod(array.shape[:axis]))
        offsets = np.arange(count + 1, dtype=np.int32) * array.shape[axis]
        out = pa.ListArray.from_arrays(pa.array(offsets), out)
    return out
