"""Arrow arrays from one type to another, exactly and at every depth."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from spark_infer.core.signature import is_list
from spark_infer.core.vectors import densify, is_vector

Cast = Callable[[pa.Array, pa.DataType], pa.Array]
"""Casts what is not nested, or raises `pyarrow.ArrowInvalid`."""


def retype(array: pa.Array, wanted: pa.DataType, cast: Cast | None = None) -> pa.Array:
    """Cast an array to ``wanted`` exactly, at every depth; structs are matched by field name, vectors become arrays.

    Args:
        array: What is there.
        wanted: What it becomes.
        cast: Casts what is not nested; by default `exact`.

    Raises:
        pyarrow.ArrowInvalid: A value does not fit.
    """
    types = pa.types
    if array.type == wanted:
        return array
    if types.is_null(array.type):
        return pa.nulls(len(array), wanted)
    if types.is_struct(wanted) and types.is_struct(array.type):
        return _struct(array, wanted, cast)
    if types.is_list(wanted) and is_vector(array.type):
        array = densify(array)
    if types.is_map(wanted) and types.is_map(array.type):
        # As the list of pairs that it is, since few of Arrow's functions take maps.
        array = pc.cast(array, pa.list_(pa.struct([array.type.key_field, array.type.item_field])))
        entries = array.flatten()
        keys = retype(pc.struct_field(entries, [0]), wanted.key_type, cast)
        items = retype(pc.struct_field(entries, [1]), wanted.item_type, cast)
        return pc.cast(pa.MapArray.from_arrays(_offsets(array), keys, items), wanted)
    if types.is_list(wanted) and is_list(array.type):
        values = retype(array.flatten(), wanted.value_type, cast)
        return pc.cast(pa.ListArray.from_arrays(_offsets(array), values), wanted)
    return (cast or exact)(array, wanted)


def _struct(array: pa.StructArray, wanted: pa.StructType, cast: Cast | None) -> pa.StructArray:
    names = [field.name for field in array.type]
    children = [
        retype(pc.struct_field(array, [names.index(field.name)]), field.type, cast)
        if field.name in names
        else pa.nulls(len(array), field.type)
        for field in wanted
    ]
    return pa.StructArray.from_arrays(children, fields=list(wanted), mask=array.is_null() if array.null_count else None)


def _offsets(array: pa.Array) -> pa.Array:
    # Of the flattened values: they hold nothing of null lists, nor of rows outside a slice.
    ends = np.cumsum(pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False), dtype=np.int64)
    offsets = pa.array(np.concatenate([[0], ends]))
    missing = np.append(array.is_null().to_numpy(zero_copy_only=False), False) if array.null_count else None
    return pc.cast(pa.array(offsets.to_numpy(), mask=missing), pa.int32())


def exact(array: pa.Array, wanted: pa.DataType) -> pa.Array:
    """Cast what is not nested, with no digit lost; a float of fewer digits is the nearest one.

    Raises:
        pyarrow.ArrowInvalid: A value does not fit.
    """
    if pa.types.is_decimal(array.type) and pa.types.is_floating(wanted):
        # By way of its digits: Arrow's own cast multiplies, and is often one bit off the nearest double.
        return pc.cast(pc.cast(array, pa.string()), wanted)
    if array.type == pa.uint64() and pa.types.is_floating(wanted):
        # Arrow's own check of what a float can hold takes the largest unsigned integers for negative ones.
        array = pc.cast(array, pa.int64())
    cast = pc.cast(array, wanted)
    # Arrow rounds to the nearest float as numpy does, and makes an infinite one of what is too large.
    narrowed = pa.types.is_floating(array.type) and pa.types.is_floating(wanted)
    if narrowed and wanted.bit_width < array.type.bit_width and not pc.is_inf(cast).equals(pc.is_inf(array)):
        raise pa.ArrowInvalid("a number is too large")
    return cast


def in_utc(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Label instants as UTC, as the plan does; Spark labels them with the session's time zone. The values stay."""
    schema = pa.schema([field.with_type(_utc(field.type)) for field in batch.schema])
    if schema == batch.schema:
        return batch
    arrays = [retype(column, field.type) for column, field in zip(batch.columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _utc(data_type: pa.DataType) -> pa.DataType:
    types = pa.types
    if types.is_timestamp(data_type) and data_type.tz is not None:
        return pa.timestamp(data_type.unit, "UTC")
    if types.is_map(data_type):
        return pa.map_(_utc_field(data_type.key_field), _utc_field(data_type.item_field))
    if types.is_list(data_type):
        return pa.list_(_utc_field(data_type.value_field))
    if types.is_struct(data_type):
        return pa.struct([_utc_field(field) for field in data_type])
    return data_type


def _utc_field(field: pa.Field) -> pa.Field:
    return field.with_type(_utc(field.type))
