"""Arrow values as Python's own, with dicts for maps; pyarrow does that by itself from version 20 on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa

from spark_infer.core.signature import is_list

_Change = Callable[[Any], Any]


def to_pylist(values: pa.Array | pa.RecordBatch) -> list[Any]:
    """Return values, or rows as dicts, with None for null; a map is a dict.

    Raises:
        KeyError: A map has one key twice.
        OverflowError: Python has no such value; ValueError, where Arrow says so.
    """
    kind = pa.struct(list(values.schema)) if isinstance(values, pa.RecordBatch) else values.type
    found: list[Any] = values.to_pylist()
    change = _change(kind)
    return found if change is None else [None if each is None else change(each) for each in found]


def _change(kind: pa.DataType) -> _Change | None:
    """What makes dicts of the maps in a value of a type, which is no null; None where there are none."""
    if pa.types.is_map(kind):
        keys, items = _change(kind.key_type), _change(kind.item_type)
        return lambda pairs: _as_dict([(_changed(key, keys), _changed(item, items)) for key, item in pairs])
    if is_list(kind):
        item = _change(kind.value_type)
        return None if item is None else lambda values: [_changed(each, item) for each in values]
    if pa.types.is_struct(kind):
        fields = {field.name: change for field in kind if (change := _change(field.type)) is not None}
        if fields:
            return lambda value: value | {name: _changed(value[name], change) for name, change in fields.items()}
    return None


def _changed(value: Any, change: _Change | None) -> Any:
    return value if value is None or change is None else change(value)


def _as_dict(pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise KeyError("a map has one key twice")
    return found
