"""Model inputs as one matrix of numbers: for frameworks that take columns by position and no text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spark_infer.core.binding import Binding
from spark_infer.core.convert import matrix, tensor
from spark_infer.core.signature import ANY, Column, Signature, spelled
from spark_infer.errors import InputValueError, ModelRefusedError

_RELOG = (
    "log the model with the signature of its training columns, name them in order with inputs=[…], or pass model_udf's "
    "function a struct of them."
)


def refuse_others(signature: Signature | None, framework: str) -> None:
    """Refuse a signature with columns that are no numbers; the framework's pyfunc raises on every batch of them.

    Raises:
        ModelRefusedError: Names the columns.
    """
    columns = signature.inputs if signature is not None else ()
    _refuse({str(item.name): item.type for item in columns if isinstance(item, Column)}, framework)


def refuse_unsigned(binding: Binding, framework: str) -> None:
    """Refuse the same in the columns that were bound without a signature.

    Raises:
        ModelRefusedError: Names the columns.
    """
    if not binding.tensors:
        _refuse({column.target: column.type for column in binding.columns}, framework)


def _refuse(columns: dict[str, pa.DataType], framework: str) -> None:
    others = [f"column {name!r} is {spelled(type_)}" for name, type_ in columns.items() if not _is_number(type_)]
    if others:
        raise ModelRefusedError(
            f"{framework} takes numbers and booleans; text only as a pandas category, which no table column is.",
            details=others,
            next_step="put the encoding into the model (a scikit-learn Pipeline, a PythonModel), or log it on codes.",
        )


def _is_number(data_type: pa.DataType) -> bool:
    types = pa.types
    # Where the signature leaves the type open, the table's decides later.
    known = types.is_integer(data_type) or types.is_floating(data_type) or types.is_boolean(data_type)
    return bool(known or data_type == ANY)


def fed_names(binding: Binding) -> list[str] | None:
    """Return the names of the columns that the model will be fed, in order; None for a tensor, or before a call."""
    if binding.tensors or binding.is_open:
        return None
    return [column.target for column in binding.columns if column.source is not None]


def no_matrix(signature: Signature | None) -> str | None:
    """Say why a signature is no single matrix; None where it is."""
    if signature is None or not signature.is_tensor:
        return None
    first = signature.inputs[0]
    if len(signature.inputs) == 1 and first.name is None and len(getattr(first, "shape", ())) == 2:
        return None
    return "its signature is not one matrix"


def to_matrix(
    inputs: pa.RecordBatch, binding: Binding, dtype: npt.DTypeLike | None, *, order: Literal["C", "F"] = "C"
) -> npt.NDArray[Any]:
    """Lay a batch out as a matrix of shape (rows, columns), each value rounded once, from its own type to ``dtype``.

    A null is NaN; a double too large for ``dtype`` becomes infinite. Without a dtype a tensor keeps its own.

    Raises:
        InputValueError: A null in an integer or boolean column.
    """
    for array, name in zip(inputs.columns, inputs.schema.names, strict=True):
        refuse_missing_truth(array, name)
    with np.errstate(over="ignore"):
        if binding.tensors:
            return np.asarray(tensor(inputs, binding.tensors[0]), dtype=dtype, order=order)
        assert dtype is not None
        return matrix(inputs.columns, inputs.schema.names, dtype, order=order)


def refuse_missing_truth(array: pa.Array, name: str) -> None:
    """Refuse a null among truth values, which a matrix of numbers has no place for.

    Raises:
        InputValueError: There is one.
    """
    if pa.types.is_boolean(array.type) and array.null_count:
        raise InputValueError.nulls(
            name,
            array.null_count,
            len(array),
            declared="boolean in the model's signature",
            why="a boolean input has no missing value",
        )


def returned_type(values: npt.NDArray[Any]) -> pa.DataType:
    """Arrow type of one row of what a model returned."""
    inner = pa.array(values.reshape(-1)[:1].tolist() if values.dtype.kind == "O" else values.reshape(-1)[:1]).type
    for _ in values.shape[1:]:
        inner = pa.list_(inner)
    return inner


def check_count(count: int, binding: Binding, framework: str) -> None:
    """Refuse another number of columns than the model was trained on.

    Raises:
        ModelRefusedError: Says how many it takes.
    """
    fed = fed_names(binding)
    if fed is not None and len(fed) != count:
        raise ModelRefusedError(
            f"The {framework} model was trained on {count} columns and would be fed {len(fed)}.", next_step=_RELOG
        )


def check_names(trained_on: Sequence[str] | None, binding: Binding, framework: str) -> None:
    """Refuse columns under other names, or in another order, than the model was trained on.

    Raises:
        ModelRefusedError: Says which are missing or not known.
    """
    fed = fed_names(binding)
    if not trained_on or fed is None or list(trained_on) == fed:
        return
    missing = [name for name in trained_on if name not in fed]
    unknown = [name for name in fed if name not in trained_on]
    raise ModelRefusedError(
        f"The {framework} model was trained on other columns, or in another order, than it would be fed.",
        details=[f"trained on: {missing or list(trained_on)}", f"fed: {unknown or fed}"],
        next_step=_RELOG,
    )
