"""Arrow columns on their way into a model: casts by declared type, numpy arrays, one contiguous matrix.

What becomes of a value depends on the declared type alone, never on what else is in the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from spark_infer.core.binding import Binding, BoundColumn, TensorInput
from spark_infer.core.casts import retype
from spark_infer.core.nested import nested, sized_scalars
from spark_infer.core.pylist import to_pylist
from spark_infer.core.signature import ANY, Column, Signature, is_list, spelled
from spark_infer.errors import InputValueError


def project(batch: pa.RecordBatch, binding: Binding) -> pa.RecordBatch:
    """Return the model's inputs: its columns, in its order, under its names, in its types.

    Optional columns that the table lacks are left out, as MLflow does. Zero-copy where nothing is cast.

    Raises:
        InputValueError: A value has no place in the wanted type (an integer beyond 2**53 as double, …).
    """
    present = [column for column in binding.columns if column.source is not None]
    arrays = [_bound(batch, column) for column in present]
    return pa.RecordBatch.from_arrays(arrays, names=[column.target for column in present])


def _bound(batch: pa.RecordBatch, column: BoundColumn) -> pa.Array:
    array = batch.column(column.source)
    try:
        return retype(array, column.type)
    except pa.ArrowInvalid:
        raise InputValueError(
            f"Column {column.source!r} holds a value that {spelled(column.type)} cannot hold exactly.",
            details=[f"it is {spelled(array.type)} in the table, {spelled(column.type)} in the model's signature"],
            next_step="filter or round these rows with `where` or a preprocess function, or log the model with "
            f"{spelled(array.type)}.",
        ) from None


def to_numpy(array: pa.Array, name: str, *, sized: bool = False) -> npt.NDArray[np.generic]:
    """Turn one Arrow column into a numpy array by its declared type.

    Numbers keep their dtype; a null float is NaN; a null in an integer column is an error, since numpy's integers
    have no missing value. Booleans and strings with nulls become objects with None, and everything nested those of
    `core.nested`. Timestamps become ``datetime64[us]`` (NaT for null). Zero-copy for numbers without nulls.

    Args:
        array: The column.
        name: Its name, for messages.
        sized: Whether numbers of 32 bits inside structs and maps are numpy's.

    Raises:
        InputValueError: An integer column holds a null, or a nested one what Python has no value for.
    """
    if pa.types.is_integer(array.type) and array.null_count:
        raise _null_integer(array, name)
    values: npt.NDArray[np.generic]
    if pa.types.is_nested(array.type):
        values = np.fromiter(_nested(array, name, sized=sized), dtype=object, count=len(array))
    else:
        values = array.to_numpy(zero_copy_only=False)
    return values.astype("datetime64[D]") if pa.types.is_date(array.type) else values


def numpy_dtype(kind: pa.DataType) -> np.dtype[np.generic]:
    """Return the dtype that a column without nulls becomes; Arrow's own `to_pandas_dtype` needs pandas."""
    return to_numpy(pa.nulls(0, kind), "").dtype


def _nested(array: pa.Array, name: str, *, sized: bool) -> list[Any]:
    def scalars(values: pa.Array) -> list[Any]:
        return sized_scalars(values) if sized else values.to_pylist()

    try:
        return nested(array, scalars)
    except _NO_PYTHON_VALUE:
        raise _no_python_value(array, name) from None


def objects(array: pa.Array, name: str) -> list[Any]:
    """Return the values of a column as Python's own, None for null; maps become dicts.

    Raises:
        InputValueError: One is something that Python has no value for.
    """
    try:
        values = to_pylist(array)
    except _NO_PYTHON_VALUE:
        raise _no_python_value(array, name) from None
    return values


_NO_PYTHON_VALUE = (KeyError, OverflowError, ValueError)


def _no_python_value(array: pa.Array, name: str) -> InputValueError:
    return InputValueError(
        f"Column {name!r} ({spelled(array.type)}) holds a value that Python cannot: a time outside the years 1 to "
        "9999, or a map with one key twice.",
        next_step="filter these rows with `where`, or replace such values in a preprocess function.",
    )


def own(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return an array that may be written into: a copy where it is Arrow's memory, which numpy shows as read-only."""
    return array if array.flags.writeable else array.copy()


def _null_integer(array: pa.Array, name: str) -> InputValueError:
    return InputValueError.nulls(
        name,
        array.null_count,
        len(array),
        declared=f"{spelled(array.type)} in the model's signature",
        why="an integer input has no missing value",
        instead="a double column",
    )


def matrix(
    columns: Sequence[pa.Array], names: Sequence[str], dtype: npt.DTypeLike, *, order: Literal["C", "F"] = "C"
) -> npt.NDArray[np.generic]:
    """Lay numeric columns side by side in one contiguous matrix of shape (rows, columns).

    One copy; a null is NaN in a floating matrix. Fortran order writes whole columns, and is the layout that a pandas
    frame of one dtype hands to numpy.

    Raises:
        InputValueError: A null in an integer column.
    """
    rows = len(columns[0]) if columns else 0
    out = np.empty((rows, len(columns)), dtype=dtype, order=order)
    for index, (array, name) in enumerate(zip(columns, names, strict=True)):
        out[:, index] = to_numpy(array, name)
    return out


def tensor(batch: pa.RecordBatch, spec: TensorInput) -> npt.NDArray[np.generic]:
    """Put a tensor together from its columns, shape (rows, …) as the signature says.

    Regular arrays are reshaped: numbers without nulls stay where Arrow has them. A null number is NaN in a floating
    tensor.

    Raises:
        InputValueError: A null without a place, or arrays that do not all fit the shape.
    """
    arrays = [batch.column(name) for name in spec.columns]
    for array, name in zip(arrays, spec.columns, strict=True):
        inner = array
        while is_list(inner.type):
            inner = inner.flatten()
        if inner.null_count and not pa.types.is_floating(inner.type):
            raise InputValueError(
                f"Column {name!r} holds a null, and a tensor of {spec.dtype} has no missing value.",
                next_step="filter these rows out with `where`, or fill them in a preprocess function.",
            )
    if len(arrays) == 1 and is_list(arrays[0].type):
        return _from_lists(arrays[0], spec)
    if len(spec.shape) == 1:
        return to_numpy(arrays[0], spec.columns[0]).astype(spec.dtype, copy=False)
    # Texts by way of objects: an empty array of texts has room for one letter each, and cuts what it is given.
    text = np.dtype(spec.dtype).kind == "U"
    return matrix(arrays, spec.columns, object if text else spec.dtype).astype(spec.dtype, copy=False)


def _from_lists(array: pa.Array, spec: TensorInput) -> npt.NDArray[np.generic]:
    inner = spec.shape[1:]
    nested = is_list(array.type.value_type)
    # An array of numbers is the whole tensor of a row in C order; nested arrays have the tensor's own dimensions.
    wanted = list(inner) if nested else [-1 if -1 in inner else int(np.prod(inner))]
    widths: list[int] = []
    values = array
    while is_list(values.type):
        widths.append(_width(values, wanted[len(widths)], spec))
        values = values.flatten()
    if not nested and -1 in inner:
        known = int(np.prod([size for size in inner if size != -1]))
        if known and widths[0] % known:
            raise _misfit(spec, f"arrays of {widths[0]} numbers")
        inner = tuple(widths[0] // known if size == -1 and known else size for size in inner)
    flat = to_numpy(values, spec.columns[0]).astype(spec.dtype, copy=False)
    return flat.reshape((len(array), *(widths if nested else inner)))


def _width(lists: pa.Array, wanted: int, spec: TensorInput) -> int:
    """The one length of all lists; the wanted one, or any where that is -1."""
    lengths = pc.list_value_length(lists)
    if wanted == -1:
        present = lengths.drop_null()
        wanted = present[0].as_py() if len(present) else 0
    odd = len(lists) - (pc.sum(pc.equal(lengths, wanted)).as_py() or 0)
    if odd:
        raise _misfit(spec, f"{odd} of {len(lists)} arrays are null or of another size")
    return int(wanted)


def _misfit(spec: TensorInput, found: str) -> InputValueError:
    wanted = "x".join("?" if size == -1 else str(size) for size in spec.shape[1:])
    return InputValueError(
        f"Column {spec.columns[0]!r} does not hold {wanted} numbers in every row, as the model's tensor asks: {found}.",
        next_step="filter out null and odd-sized arrays with `where`, or mend them in a preprocess function.",
    )


def to_rows(inputs: pa.RecordBatch, signature: Signature) -> list[Any]:
    """Turn model inputs into a list: a dict for each row, or bare values where the model's only input has no name.

    A null is None, and NaN stays NaN. The values are the caller's own.

    Raises:
        InputValueError: A null in a column whose hint is not Optional; MLflow would raise, too.
    """
    items = [item for item in signature.inputs if isinstance(item, Column)]
    required = {item.name for item in items if item.required and item.type != ANY}
    for name, column in zip(inputs.schema.names, inputs.columns, strict=True):
        if column.null_count and (name if signature.names else None) in required:
            raise InputValueError.nulls(
                name,
                column.null_count,
                len(column),
                declared=f"{spelled(column.type)} in the model's type hint, which is not Optional,",
                instead="an Optional field",
            )
    columns = [objects(column, name) for name, column in zip(inputs.schema.names, inputs.columns, strict=True)]
    if signature.names is None:
        return columns[0]
    return [dict(zip(inputs.schema.names, row, strict=True)) for row in zip(*columns, strict=True)]
