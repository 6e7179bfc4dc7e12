"""The text of a value that a model returned and the user declared as string: Python's `str` of it.

As `mlflow.pyfunc.spark_udf` has it: ``1.0``, ``True``, ``1e-05``, ``2024-01-01 00:00:00``; where that writes ``None``
and ``nan``, null stays null. The text depends on the value alone, never on what else is in the batch.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from spark_infer.core.signature import is_list


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


def with_text(value: Any, wanted: pa.DataType) -> Any:
    """Return a value of Python's in which whatever is declared as string is text, at every depth."""
    if isinstance(value, np.ndarray):
        value = list(value)
    if pa.types.is_map(wanted) and isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else value
        return [(with_text(key, wanted.key_type), with_text(item, wanted.item_type)) for key, item in pairs]
    if isinstance(value, dict):
        types = {field.name: field.type for field in wanted} if pa.types.is_struct(wanted) else {}
        return {name: with_text(each, types[name]) if name in types else each for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [with_text(each, wanted.value_type) for each in value] if is_list(wanted) else value
    return text(value) if pa.types.is_string(wanted) and not isinstance(value, bytes) else value


def lacks_text(got: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether something that is declared as string is of another type."""
    if is_list(got) and is_list(wanted):
        return lacks_text(got.value_type, wanted.value_type)
    if pa.types.is_struct(got) and pa.types.is_struct(wanted):
        names = {field.name for field in wanted}
        return any(field.name in names and lacks_text(field.type, wanted.field(field.name).type) for field in got)
    same = pa.types.is_string(got) or pa.types.is_binary(got) or pa.types.is_null(got)
    return pa.types.is_string(wanted) and not pa.types.is_nested(got) and not same


def holds_text(wanted: pa.DataType) -> bool:
    """Whether a type has text in it, at any depth."""
    inside = range(wanted.num_fields) if pa.types.is_nested(wanted) else ()
    return bool(pa.types.is_string(wanted)) or any(holds_text(wanted.field(index).type) for index in inside)
