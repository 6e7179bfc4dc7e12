"""Predictions on their way out: named, typed Arrow columns from whatever arrays the model returned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spark_infer.core.casts import retype
from spark_infer.core.fits import fit
from spark_infer.core.signature import Column, Signature, Tensor, is_list, spelled
from spark_infer.core.text import holds_text, lacks_text, with_text
from spark_infer.errors import PredictionShapeError, StepError, nearest

ONLY_OUTPUT = "prediction"

Values: TypeAlias = npt.NDArray[Any] | Sequence[Any]
"""The values of one output: a numpy array, a list, or an Arrow array (which mypy takes for Any)."""
Predictions: TypeAlias = Mapping[str | None, Values]
"""What a model returns: output name to values, a value (or an array, or a dict) for each row. The key None stands
for the only output of a model that does not name it."""


def signature_outputs(signature: Signature | None) -> pa.Schema | None:
    """Prediction columns as the signature declares them; None where it declares none.

    A single unnamed output is called ``prediction``, several ``prediction_0``, ``prediction_1``, …
    """
    if signature is None or not signature.outputs:
        return None
    several = len(signature.outputs) > 1
    fields = [
        pa.field(_output_name(item, index, several=several), _output_type(item))
        for index, item in enumerate(signature.outputs)
    ]
    return pa.schema(fields)


def _output_name(item: Column | Tensor, index: int, *, several: bool) -> str:
    if item.name is not None:
        return item.name
    return f"{ONLY_OUTPUT}_{index}" if several else ONLY_OUTPUT


def _output_type(item: Column | Tensor) -> pa.DataType:
    if isinstance(item, Column):
        return item.type
    data_type = _WIDER.get(item.value_type, item.value_type)
    for _ in item.shape[1:]:
        data_type = pa.list_(data_type)
    return data_type


_WIDER = {
    pa.uint8(): pa.int16(),
    pa.uint16(): pa.int32(),
    pa.uint32(): pa.int64(),
    pa.uint64(): pa.decimal128(20, 0),
    pa.float16(): pa.float32(),
}
"""The smallest type a table can hold for what only tensors have."""


def to_batch(predictions: Predictions, schema: pa.Schema, rows: int) -> pa.RecordBatch:
    """Turn what the model returned into a record batch of ``schema``.

    Outputs bind by name; an unnamed one stands for the only column.

    Raises:
        PredictionShapeError: Wrong number of rows, a missing output, or values of another type.
    """
    named = _named(predictions, schema)
    missing = [name for name in schema.names if name not in named]
    if missing:
        raise PredictionShapeError(
            f"The model did not return the output(s) {missing}.",
            details=[f"it returned {sorted(named)}"],
            next_step="choose among the outputs that exist with `result_type`, or mend the model's signature.",
        )
    arrays = [to_array(named[field.name], field.name, field.type, rows) for field in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _named(predictions: Predictions, schema: pa.Schema) -> dict[str, Values]:
    names = [None if name is None else str(name) for name in predictions]
    if set(names) == set(schema.names):
        return {str(name): values for name, values in predictions.items()}
    only = predictions.get(None)
    if len(schema) > 1 and isinstance(only, np.ndarray) and only.ndim == 2 and only.shape[1] == len(schema):
        return dict(zip(schema.names, only.T, strict=True))
    # Unnamed outputs, and models that number theirs, go by position among themselves only.
    if len(names) == len(schema) and all(name is None or name.isdecimal() for name in names):
        return dict(zip(schema.names, predictions.values(), strict=True))
    return {str(name if name is not None else ONLY_OUTPUT): values for name, values in predictions.items()}


def to_array(values: Values, name: str, wanted: pa.DataType, rows: int) -> pa.Array:
    """Turn one output into an Arrow array of exactly the wanted type.

    Numbers go over without a copy where the types agree; two- and more-dimensional arrays become lists with no work
    per row; NaN stays NaN in floating columns, None (and NaN among text) becomes null.

    Raises:
        PredictionShapeError: The number of rows or a value's type is wrong.
    """
    scalar = isinstance(values, np.ndarray) and values.ndim == 0
    found = 1 if scalar else len(values)
    if scalar or found != rows:
        raise PredictionShapeError(
            f"The model returned {found} value(s) of {name!r} for a batch of {rows} rows.",
            next_step="a model must return exactly one value for each row it was given.",
        )
    try:
        return retype(_raw_array(values, wanted), wanted, fit)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, ValueError, TypeError, OverflowError):
        got = str(values.dtype) if isinstance(values, np.ndarray) else type(values).__name__
        shape = getattr(values, "shape", (rows,))
        raise PredictionShapeError(
            f"The model returned {got} values of shape {tuple(shape)} for {name!r}: not {spelled(wanted)}.",
            next_step="say the type you want with result_type, or log the model with the outputs it really returns.",
        ) from None


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
    if any(isinstance(row, np.ndarray) and row.ndim > 1 for row in rows):
        rows = [row.tolist() if isinstance(row, np.ndarray) else row for row in rows]
    return _from_rows(rows, wanted)


def _from_rows(rows: list[Any], wanted: pa.DataType) -> pa.Array:
    if pa.types.is_struct(wanted) and any(isinstance(row, dict) for row in rows):
        # Arrow finds fields by text alone, and leaves those under the number 0 or 1 out without a word.
        rows = [{str(key): value for key, value in row.items()} if isinstance(row, dict) else row for row in rows]
    if not holds_text(wanted):
        return _typed(rows, wanted)
    try:
        array = _typed(rows, wanted)
        if not lacks_text(array.type, wanted):
            return array
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        pass  # for example numbers, or numbers beside texts, where text is declared
    return _typed([with_text(row, wanted) for row in rows], wanted)


def _typed(rows: list[Any], wanted: pa.DataType) -> pa.Array:
    # NaN among text or integers is pandas' mark for a missing value; among floats it is a number of its own.
    missing = not (pa.types.is_floating(wanted) or pa.types.is_nested(wanted))
    if _told_exactly(wanted):
        return pa.array(rows, type=wanted, from_pandas=missing)
    if pa.types.is_map(wanted):
        return _maps(rows, wanted)
    # Without a type, so that 1.5 stays 1.5 and noon stays noon until the cast refuses them.
    return pa.array(rows, from_pandas=missing)


def _told_exactly(data_type: pa.DataType) -> bool:
    """Whether Arrow makes values of this type out of Python's without changing any."""
    if pa.types.is_nested(data_type):
        return all(_told_exactly(data_type.field(index).type) for index in range(data_type.num_fields))
    return data_type in (pa.float64(), pa.string(), pa.binary())


def _maps(rows: list[Any], wanted: pa.MapType) -> pa.Array:
    filled = [dict(row) if row is not None else {} for row in rows]
    ends = np.cumsum([0, *map(len, filled)])
    offsets = pa.array(ends, pa.int32(), mask=np.array([*(row is None for row in rows), False]))
    keys = _from_rows([key for row in filled for key in row], wanted.key_type)
    items = _from_rows([item for row in filled for item in row.values()], wanted.item_type)
    return pa.MapArray.from_arrays(offsets, keys, items)


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


def choose_outputs(batch: pa.RecordBatch, output: str | Mapping[str, str] | None) -> pa.RecordBatch:
    """Name the outputs as the user asked.

    A mapping renames and chooses (in its order); a single name renames the only output, or packs several into one
    struct column of that name; None leaves them as they are.

    Raises:
        StepError: The mapping names an output that does not exist, or one column twice.
    """
    if output is None:
        return batch
    if isinstance(output, str):
        if batch.num_columns == 1:
            return pa.RecordBatch.from_arrays(batch.columns, names=[output])
        packed = pa.StructArray.from_arrays(batch.columns, fields=list(batch.schema))
        return pa.RecordBatch.from_arrays([packed], names=[output])
    for name in output:
        if name not in batch.schema.names:
            raise StepError(
                f"`output` names {name!r}{nearest(name, batch.schema.names)}, which the model does not return.",
                details=[f"the outputs are {batch.schema.names}"],
            )
    if len(set(output.values())) < len(output):
        raise StepError("`output` gives two outputs the same column name.")
    return pa.RecordBatch.from_arrays([batch.column(name) for name in output], names=list(output.values()))
