"""Rows as Python's own values: what a model with type hints takes, and MLflow's pyfunc is given by its users."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from spark_infer.core.convert import objects
from spark_infer.core.signature import ANY, Column, Signature, spelled
from spark_infer.errors import InputValueError


def to_rows(inputs: pa.RecordBatch, signature: Signature) -> list[Any]:
    """Turn model inputs into a list: a dict for each row, or bare values where the model's only input has no name.

    A null is None, and NaN stays NaN. The values are the caller's own.

    Raises:
        InputValueError: A null in a column whose hint is not Optional; MLflow would raise, too.
    """
    items = [item for item in signature.inputs if isinstance(item, Column)]
    required = {item.name for item in items if item.required and item.type != ANY}
    for name, column in zip(inputs.schema.names, inputs.columns, strict=True):
        if column.null_count and (name if signature.names else None) in required:
            raise InputValueError(
                f"Column {name!r} is {spelled(column.type)} in the model's type hint, which is not Optional, and holds "
                f"{column.null_count} null(s) in a batch of {len(column)} rows.",
                next_step=f'keep these rows out with where="{name} IS NOT NULL", fill them in a preprocess function, '
                "or log the model with an Optional field.",
            )
    columns = [objects(column, name) for name, column in zip(inputs.schema.names, inputs.columns, strict=True)]
    if signature.names is None:
        return columns[0]
    return [dict(zip(inputs.schema.names, row, strict=True)) for row in zip(*columns, strict=True)]
