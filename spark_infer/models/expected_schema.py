"""The table that a model expects, where no table is seen yet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from spark_infer.core.signature import Signature


def expected_schema(signature: Signature | None, inputs: Sequence[str] | None = None) -> pa.Schema:
    """Return the columns that a model takes, in its own types.

    Args:
        signature: Its signature; None for a model without one, whose columns have any type.
        inputs: Names for a model that names no columns.
    """
    if signature is None:
        return pa.schema([pa.field(name, pa.null()) for name in inputs or ()])
    names = signature.names or inputs or ()
    if signature.is_tensor:
        (*_, tensor) = signature.inputs
        single = len(names) == 1
        fields = [(item.name or name, item) for item, name in zip(signature.inputs, names, strict=False)]
        if not single and len(signature.inputs) == 1:
            return pa.schema([pa.field(name, tensor.value_type) for name in names])  # type: ignore[union-attr]
        return pa.schema([pa.field(name, _tensor_column(item)) for name, item in fields])
    return pa.schema([pa.field(name, item.type) for name, item in zip(names, signature.inputs, strict=False)])  # type: ignore[union-attr]


def stand_in_inputs(signature: Signature | None) -> tuple[str, ...]:
    """Return names for the columns of a model that names none, until a call brings them; none without a signature."""
    count = 0 if signature is None else 1 if signature.is_tensor else len(signature.inputs)
    return tuple(map(str, range(count)))


def _tensor_column(item: Any) -> pa.DataType:
    return pa.list_(item.value_type) if len(item.shape) > 1 else item.value_type
