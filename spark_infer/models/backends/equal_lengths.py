"""Rows of tensors that may be of any length: those of one length are one tensor, and are predicted together.

Nothing is padded, since no model says by what: a row has the answer that it has alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from spark_infer.core.binding import Binding
from spark_infer.core.outputs import Predictions, Values
from spark_infer.core.signature import is_list


def by_length(inputs: pa.RecordBatch, binding: Binding, ask: Callable[[pa.RecordBatch], Predictions]) -> Predictions:
    """Predict a batch, in as many calls as there are lengths in it; the answers are in the order of the rows.

    Args:
        inputs: The rows.
        binding: What they are made into; only its tensors with a dimension that is left open may differ in length.
        ask: Predicts rows of one length.
    """
    open_columns = [
        inputs.column(spec.columns[0])
        for spec in binding.tensors
        if len(spec.columns) == 1 and -1 in spec.shape[1:] and is_list(inputs.column(spec.columns[0]).type)
    ]
    lengths = [pc.fill_null(pc.list_value_length(each), -1).to_numpy() for each in open_columns]
    if all(len(each) < 2 or (each == each[0]).all() for each in lengths):
        return ask(inputs)
    _, group = np.unique(np.stack(lengths), axis=1, return_inverse=True)
    groups = [np.flatnonzero(group.reshape(-1) == number) for number in range(int(group.max()) + 1)]
    answers = [ask(inputs.take(pa.array(rows))) for rows in groups]
    places = np.argsort(np.concatenate(groups))
    return {name: _joined([answer[name] for answer in answers], places) for name in answers[0]}


def _joined(parts: list[Any], places: npt.NDArray[np.int64]) -> Values:
    if all(isinstance(part, np.ndarray) for part in parts) and len({part.shape[1:] for part in parts}) == 1:
        whole: Values = np.concatenate(parts)[places]
        return whole
    if all(isinstance(part, pa.Array) for part in parts):
        taken: Values = pa.concat_arrays(parts).take(pa.array(places))
        return taken
    rows = [row for part in parts for row in part]
    return [rows[place] for place in places]
