"""Arrow columns on their way into a model: casts by declared type, numpy arrays, one contiguous matrix.

What becomes of a value depends on the declared type alone, never on what else is in the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from spark_infer.core.contract import Binding, BoundColumn, TensorInput
from spark_infer.core.signature import spelled
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


def retype(array: pa.Array, wanted: pa.DataType) -> pa.Array:
    """Cast an array to ``wanted`` exactly; structs are matched by field name.

    Raises:
        pyarrow.ArrowInvalid: A value does not fit.
    """
    if array.type == wanted:
        return array
    if pa.types.is_struct(wanted) and pa.types.is_struct(array.type):
        present = {field.name for field in array.type}
        children = [
            retype(pc.struct_field(array, field.name), field.type)
            if field.name in present
            else pa.nulls(len(array), field.type)
            for field in wanted
        ]
        return pa.StructArray.from_arrays(
            children, fields=list(wanted), mask=array.is_null() if array.null_count else None
        )
    if pa.types.is_decimal(array.type) and pa.types.is_floating(wanted):
        # By way of its digits: Arrow's own cast multiplies, and is often one bit off the nearest double.
        return pc.cast(pc.cast(array, pa.string()), wanted)
    return pc.cast(array, wanted)


def to_numpy(array: pa.Array, name: str) -> npt.NDArray[np.generic]:
    """Turn one Arrow column into a numpy array by its declared type.

    Numbers keep their dtype; a null float is NaN; a null in an integer column is an error, since numpy's integers
    have no missing value. Booleans and strings with nulls, and everything nested, become objects with None.
    Timestamps become ``datetime64[us]`` (NaT for null). Zero-copy for numbers without nulls.

    Raises:
        InputValueError: An integer column holds a null.
    """
    if pa.types.is_integer(array.type) and array.null_count:
        raise _null_integer(array, name)
    values: npt.NDArray[np.generic]
    if pa.types.is_nested(array.type):
        values = np.empty(len(array), dtype=object)
        values[:] = array.to_pylist(maps_as_pydicts="strict")
    else:
        values = array.to_numpy(zero_copy_only=False)
    return values.astype("datetime64[D]") if pa.types.is_date(array.type) else values


def _null_integer(array: pa.Array, name: str) -> InputValueError:
    return InputValueError(
        f"Column {name!r} is {spelled(array.type)} in the model's signature and holds {array.null_count} null(s) in a "
        f"batch of {len(array)} rows; an integer input has no missing value.",
        next_step=f'keep these rows out with where="{name} IS NOT NULL", fill them in a preprocess function, or log '
        "the model with a double column.",
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

    Regular arrays are reshaped with no work per row.

    Raises:
        InputValueError: A null, or an array whose length does not fit the shape.
    """
    arrays = [batch.column(name) for name in spec.columns]
    for array, name in zip(arrays, spec.columns, strict=True):
        inner = array.flatten() if pa.types.is_list(array.type) else array
        if inner.null_count and not pa.types.is_floating(inner.type):
            raise InputValueError(
                f"Column {name!r} holds a null, and a tensor of {spec.dtype} has no missing value.",
                next_step="filter these rows out with `where`, or fill them in a preprocess function.",
            )
    if len(arrays) == 1 and pa.types.is_list(arrays[0].type):
        return _from_lists(arrays[0], spec)
    if len(spec.shape) == 1:
        return to_numpy(arrays[0], spec.columns[0]).astype(spec.dtype, copy=False)
    return matrix(arrays, spec.columns, spec.dtype)


def _from_lists(array: pa.ListArray, spec: TensorInput) -> npt.NDArray[np.generic]:
    inner = [size for size in spec.shape[1:] if size != -1]
    values = array.flatten()
    width = len(values) // len(array) if len(array) else 0
    lengths = pc.list_value_length(array)
    regular = not array.null_count and pc.all(pc.equal(lengths, width)).as_py() is not False
    known = len(inner) == len(spec.shape) - 1
    if not regular or (known and len(array) and width != int(np.prod(inner))):
        wanted = "x".join(str(size) for size in spec.shape[1:])
        raise InputValueError(
            f"Column {spec.columns[0]!r} does not hold {wanted} numbers in every row, as the model's tensor asks.",
            next_step="filter out null and odd-sized arrays with `where`, or mend them in a preprocess function.",
        )
    flat = to_numpy(values, spec.columns[0]).astype(spec.dtype, copy=False)
    return (
        flat.reshape((len(array), *spec.shape[1:]))
        if len(array)
        else flat.reshape((0, *[max(s, 0) for s in spec.shape[1:]]))
    )
