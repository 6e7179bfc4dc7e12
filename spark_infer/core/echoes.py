"""Outputs that repeat an input: where they stand at other rows, so do the predictions beside them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from spark_infer.core.contract import Binding
from spark_infer.core.roworder import ROWS, Predict, find_row_order


class Echoes:
    """The outputs of a scoring that have the name of an input, which a model may repeat at other rows.

    Comparing them costs little. Where a batch has the values of an input at other rows, the model is tried with some of
    these rows, once: it may also mean something else by that name, such as a rank of ranks.

    Args:
        binding: How the inputs arrive.
        outputs: The columns that the model returns.
    """

    def __init__(self, binding: Binding, outputs: pa.Schema) -> None:
        inputs = {column.target: column.type for column in binding.columns if column.source is not None}
        self._names = [
            field.name
            for field in outputs
            if not binding.tensors and inputs.get(field.name) == field.type and not pa.types.is_nested(field.type)
        ]

    def moved(self, inputs: pa.RecordBatch, outputs: pa.RecordBatch, predict: Predict) -> tuple[str, ...]:
        """Return the outputs that a model gave to other rows of this batch."""
        for name in self._names:
            rows = _at_other_rows(inputs.column(name), outputs.column(name))
            if len(rows):
                self._names = []
                return find_row_order(predict, inputs.take(pa.array(rows[:ROWS]))).moved
        return ()


def _at_other_rows(given: pa.Array, found: pa.Array) -> npt.NDArray[np.int64]:
    """The rows where two columns differ that hold the same values; none where they hold others."""
    if pa.types.is_floating(given.type):  # a model is given NaN for null, and may return either
        given, found = (pc.fill_null(column, float("nan")) for column in (given, found))
    if given.equals(found):
        return np.empty(0, np.int64)
    codes = pa.concat_arrays([given, found]).dictionary_encode("encode").indices.to_numpy()
    one, other = codes[: len(given)], codes[len(given) :]
    if not np.array_equal(np.sort(one), np.sort(other)):
        return np.empty(0, np.int64)
    return np.flatnonzero(one != other)
