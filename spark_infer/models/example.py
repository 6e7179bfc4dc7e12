"""Rows to try a model with: those its author logged as input example, or made-up ones."""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from spark_infer.core.binding import Binding
from spark_infer.core.signature import is_list
from spark_infer.models.mlmodel import MLModel

EXAMPLE = "input_example.json"
ROWS = 1000

_MAX_BYTES = 16 * 2**20
_UNLIKE = (3, 0, 5, 1, 6, 2, 4)


def read_example(folder: Path, mlmodel: MLModel, binding: Binding) -> pa.RecordBatch | None:
    """Read the first rows of a model's input example, as the model will be given its inputs.

    Args:
        folder: The model folder.
        mlmodel: Its parsed ``MLmodel``.
        binding: The columns and tensors that the model takes.

    Returns:
        The rows; None where there is no example, or it does not have the form of the inputs.
    """
    path = folder / EXAMPLE
    if not mlmodel.has_input_example or not path.is_file() or path.stat().st_size > _MAX_BYTES:
        return None
    try:
        example = json.loads(path.read_bytes())
        # An example with inference parameters has a level more.
        if isinstance(example, dict) and "inputs" in example and "columns" not in example:
            example = example["inputs"]
        named = _named_values(example)
        columns = _of_tensors(example, named, binding) if binding.tensors else _of_columns(example, named, binding)
        return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns)) if columns else None
    except (ValueError, TypeError, KeyError, IndexError, OverflowError, pa.ArrowException):
        return None


def made_up(binding: Binding) -> pa.RecordBatch:
    """Make rows of zeros, empty texts and false; seven, which is seldom a number of outputs too."""
    shapes = {name: spec.shape[1:] for spec in binding.tensors for name in spec.columns}
    columns = {}
    for column in binding.columns:
        if column.source is not None:
            sizes = [1 if size == -1 else size for size in shapes.get(column.target, ())]
            nested = _depth(column.type) > 1
            value = _nothing(column.type, sizes if nested else [math.prod(sizes)])
            columns[column.target] = pa.array([value] * 7, column.type)
    return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))


def made_up_unlike(binding: Binding) -> pa.RecordBatch:
    """Make seven rows that differ in every column: numbers 0 to 6 in no order, texts, days in January 1970."""
    rows = made_up(binding)
    columns = [
        pa.array([_unlike(value, step) for value, step in zip(column.to_pylist(), _UNLIKE, strict=True)], column.type)
        for column in rows.columns
    ]
    return pa.RecordBatch.from_arrays(columns, schema=rows.schema)


def _unlike(value: Any, step: int) -> Any:
    """Change a made-up value by so many steps."""
    if isinstance(value, list):
        return [_unlike(each, step) for each in value]
    if isinstance(value, dict):
        return {name: _unlike(each, step) for name, each in value.items()}
    if isinstance(value, bool):
        return step % 2 == 0
    if isinstance(value, str):
        return chr(ord("a") + step)
    if isinstance(value, bytes):
        return bytes([step])
    if isinstance(value, datetime.date):
        return value + datetime.timedelta(days=step)
    return None if value is None else value + step


def _named_values(example: Any) -> dict[str, list[Any]] | None:
    """The columns of an example by name: a frame, a list of dicts, or a dict of arrays; None for others."""
    if isinstance(example, list) and example and all(isinstance(row, dict) for row in example):
        return {str(name): [row.get(name) for row in example[:ROWS]] for name in example[0]}
    if not isinstance(example, dict):
        return None
    if isinstance(example.get("columns"), list) and isinstance(example.get("data"), list):
        rows = example["data"][:ROWS]
        return {str(name): [row[index] for row in rows] for index, name in enumerate(example["columns"])}
    if all(isinstance(values, list) for values in example.values()):
        return {str(name): values[:ROWS] for name, values in example.items()}
    return None


def _of_columns(example: Any, named: Mapping[str, Sequence[Any]] | None, binding: Binding) -> dict[str, pa.Array]:
    bound = [column for column in binding.columns if column.source is not None]
    if named is None:
        rows = (example["data"] if isinstance(example, dict) else example)[:ROWS]
        # The example of a type hint such as list[str] is a list of values, and a text is not a row of letters.
        values = len(bound) == 1 and not isinstance(example, dict) and not isinstance(rows[0], list)
        rows = [[row] for row in rows] if values else rows
        named = {column.target: [row[index] for row in rows] for index, column in enumerate(bound)}
    return {column.target: _array(named[column.target], column.type) for column in bound}


def _of_tensors(example: Any, named: Mapping[str, Sequence[Any]] | None, binding: Binding) -> dict[str, pa.Array]:
    types = {column.target: column.type for column in binding.columns}
    arrays: dict[str, pa.Array] = {}
    for spec in binding.tensors:
        first = types[spec.columns[0]]
        if named is None or spec.name is not None:
            values = np.asarray((example if named is None else named[spec.columns[0]])[:ROWS])
            flat = values.reshape(len(values), -1)
            whole = values if _depth(first) > 1 else flat
            parts = flat.T if len(spec.columns) > 1 or not is_list(first) else [whole]
            arrays |= {name: _array(part.tolist(), types[name]) for name, part in zip(spec.columns, parts, strict=True)}
        else:
            arrays |= {name: _array(named[name], types[name]) for name in spec.columns}
    return arrays


def _array(values: Sequence[Any], wanted: pa.DataType) -> pa.Array:
    if pa.types.is_timestamp(wanted):
        return pc.cast(pc.cast(pa.array(values, pa.string()), pa.timestamp("ns")), wanted)
    if pa.types.is_binary(wanted):
        raise TypeError("bytes come back from JSON as text")
    return pa.array(values, wanted)


def _depth(wanted: pa.DataType) -> int:
    return 1 + _depth(wanted.value_type) if is_list(wanted) else 0


def _nothing(wanted: pa.DataType, sizes: Sequence[int]) -> Any:
    if is_list(wanted):
        return [_nothing(wanted.value_type, sizes[1:])] * (sizes[0] if sizes else 1)
    if pa.types.is_struct(wanted):
        return {field.name: _nothing(field.type, ()) for field in wanted}
    if pa.types.is_map(wanted):
        return []
    if pa.types.is_boolean(wanted):
        return False
    if pa.types.is_string(wanted) or pa.types.is_large_string(wanted):
        return ""
    if pa.types.is_binary(wanted) or pa.types.is_large_binary(wanted):
        return b""
    if pa.types.is_timestamp(wanted) or pa.types.is_date(wanted):
        return datetime.datetime(1970, 1, 1)
    return None if pa.types.is_null(wanted) else 0
