"""Prediction columns: those that a signature declares, and the names that the user gives them."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from spark_infer.core.signature import Column, Signature, Tensor
from spark_infer.errors import StepError, nearest

ONLY_OUTPUT = "prediction"


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
    # A shape that does not begin with the number of rows is that of one row, as in `mlflow.pyfunc.spark_udf`.
    for _ in item.shape[1:] if item.shape[:1] == (-1,) else item.shape:
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
