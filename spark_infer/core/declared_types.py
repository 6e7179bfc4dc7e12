"""Declared types between a table and a signature: which conversion leads from one to the other, and what stays open."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa

from spark_infer.core.signature import ANY, for_model, is_list, marked
from spark_infer.core.vectors import is_vector


def leaves_open(data_type: pa.DataType) -> bool:
    """Whether a declared type is ``any``, or has it inside."""
    inside = range(data_type.num_fields) if pa.types.is_nested(data_type) else ()
    return bool(data_type == ANY) or any(leaves_open(data_type.field(index).type) for index in inside)


def settled(wanted: pa.DataType, got: pa.DataType) -> pa.DataType | None:
    """Return the type a model gets, where its signature leaves something to the table; None where no model takes it.

    What is declared as ``any`` has the table's own type. Optional fields that the table's structs lack are left out, as
    columns are, so that a model finds its own defaults.
    """
    if wanted == ANY:
        return for_model(got)
    if is_list(wanted) and is_list(got):
        inner = settled(wanted.value_type, got.value_type)
        return None if inner is None else pa.list_(inner)
    if pa.types.is_map(wanted) and pa.types.is_map(got):
        inner = settled(wanted.item_type, got.item_type)
        return None if inner is None else pa.map_(wanted.key_type, inner)
    if pa.types.is_struct(wanted) and pa.types.is_struct(got):
        return _settled_struct(wanted, got)
    return wanted


def _settled_struct(wanted: pa.StructType, got: pa.StructType) -> pa.StructType | None:
    types = {field.name: field.type for field in got}
    fields = []
    for field in wanted:
        if field.name in types:
            inner = settled(field.type, types[field.name])
            if inner is None:
                return None
            fields.append(field.with_type(inner))
        elif not field.nullable:
            fields.append(field)  # missing, as the cast will say
    return pa.struct(fields or list(wanted))


def cast_step(got: pa.DataType, wanted: pa.DataType) -> str:
    """Classify the conversion from one declared type to another.

    Returns:
        ``""`` for equal types, ``"lossless"`` where no value can change, ``"checked"`` where a value that does not fit
        is an error and no column could do better, the name of the cast in `config.CASTS` where digits may be lost,
        and ``"impossible"`` otherwise.
    """
    if pa.types.is_struct(got) and marked(got):
        return "impossible"
    if got == wanted:
        return ""
    if pa.types.is_null(got):
        return "lossless"
    for nested in (_list_cast, _struct_cast, _map_cast):
        step = nested(got, wanted)
        if step is not None:
            return step
    return _scalar_cast(got, wanted)


_DIGITS = {pa.float16(): 11, pa.float32(): 24, pa.float64(): 53}


def _scalar_cast(got: pa.DataType, wanted: pa.DataType) -> str:
    types = pa.types
    if types.is_integer(got) and types.is_integer(wanted):
        if types.is_signed_integer(got) and types.is_unsigned_integer(wanted):
            return "checked"  # tensors have unsigned numbers, and Spark has none
        return "lossless" if wanted.bit_width > got.bit_width else "impossible"
    if types.is_integer(got) and wanted in _DIGITS:
        if got.bit_width <= _DIGITS[wanted]:
            return "lossless"
        return "long->double" if wanted == pa.float64() else "impossible"
    if types.is_floating(got) and types.is_floating(wanted):
        if got == pa.float64() and wanted == pa.float32():
            return "double->float"
        return "lossless" if wanted.bit_width > got.bit_width else "impossible"
    if types.is_decimal(got) and wanted == pa.float64():
        return "decimal->double"
    if (types.is_timestamp(got) or types.is_date(got)) and types.is_timestamp(wanted):
        return "lossless"
    same_kind = (types.is_string, types.is_large_string), (types.is_binary, types.is_large_binary)
    if any(any(test(got) for test in pair) and any(test(wanted) for test in pair) for pair in same_kind):
        return "lossless"
    return "impossible"


def _list_cast(got: pa.DataType, wanted: pa.DataType) -> str | None:
    if is_vector(got) and is_list(wanted):
        got = pa.list_(pa.float64())
    if not (is_list(got) or is_list(wanted)):
        return None
    if not (is_list(got) and is_list(wanted)):
        return "impossible"
    return cast_step(got.value_type, wanted.value_type) or "lossless"


def _struct_cast(got: pa.DataType, wanted: pa.DataType) -> str | None:
    if not (pa.types.is_struct(got) or pa.types.is_struct(wanted)):
        return None
    if not (pa.types.is_struct(got) and pa.types.is_struct(wanted)):
        return "impossible"
    fields = {field.name: field.type for field in got}
    counts = Counter(field.name for field in got)
    if any(counts[field.name] > 1 for field in wanted):
        return "impossible"
    steps = {"lossless"}
    for field in wanted:
        if field.name in fields:
            steps.add(cast_step(fields[field.name], field.type) or "lossless")
        elif not field.nullable:
            return "impossible"
    lossy = sorted(steps - {"lossless", "checked"})
    return "impossible" if "impossible" in lossy or len(lossy) > 1 else lossy[0] if lossy else "lossless"


def _map_cast(got: pa.DataType, wanted: pa.DataType) -> str | None:
    if not (pa.types.is_map(got) or pa.types.is_map(wanted)):
        return None
    if not (pa.types.is_map(got) and pa.types.is_map(wanted) and got.key_type == wanted.key_type):
        return "impossible"
    return cast_step(got.item_type, wanted.item_type) or "lossless"
