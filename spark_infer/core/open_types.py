"""What a signature leaves to the table: the type of what it calls ``any``, and optional fields of structs."""

from __future__ import annotations

import pyarrow as pa

from spark_infer.core.signature import ANY, for_model, is_list


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
