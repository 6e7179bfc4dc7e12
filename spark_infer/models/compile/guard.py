"""Which values a compiled model may be given: those for which it is seen to answer as the original does.

scikit-learn refuses what its estimators were not made for (a missing value in a linear model, an unknown category in an
encoder), where a graph would answer something. So both are asked, once, with the values that make the difference.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from spark_infer.core.difference import worst_difference
from spark_infer.core.outputs import to_batch
from spark_infer.core.scoring_steps import Model
from spark_infer.core.signature import is_list
from spark_infer.errors import ModelRefusedError
from spark_infer.models.backends.compiled import Limit

_MOST_SINGLE = float(np.finfo(np.float32).max)
_REACHES = (1e6, 1e9, 1e12, 1e15, 1e18, 1e30, _MOST_SINGLE, sys.float_info.max, math.inf)
_UNUSUAL = (98_765.25, -98_765.25)
_UNUSUAL_TEXT = "\u00a7 not seen in training"


@dataclass(frozen=True, kw_only=True)
class Guard:
    """Both models, and a row that they agree on.

    Attributes:
        original: The model in its own library.
        compiled: The same, compiled.
        base: One row of real inputs.
        outputs: Columns the model returns.
        bound: Largest difference of a number.
    """

    original: Model
    compiled: Model
    base: pa.RecordBatch
    outputs: pa.Schema
    bound: float

    def limits(self) -> dict[str, Limit]:
        """Find the limits of each floating column; columns without any are left out.

        Raises:
            ModelRefusedError: The models differ on plain values that training may not have seen, or one raises.
        """
        types = {field.name: _innermost(field.type) for field in self.base.schema}
        floats = [name for name, type_ in types.items() if pa.types.is_floating(type_)]
        texts = [name for name, type_ in types.items() if pa.types.is_string(type_) or pa.types.is_large_string(type_)]
        whole = [name for name, type_ in types.items() if pa.types.is_signed_integer(type_) and type_ != pa.int8()]
        self._refuse_others(texts, [_UNUSUAL_TEXT])
        self._refuse_others(floats, _UNUSUAL)
        self._refuse_others(whole, [9_876, -9_876])
        nan = self._agreed(floats, [math.nan])
        most = dict.fromkeys(floats, abs(_UNUSUAL[0]))
        agreed: Sequence[str] = floats
        for reach in _REACHES:  # a column stays where it agreed last
            agreed = sorted(self._agreed(agreed, [reach, -reach]))
            most |= dict.fromkeys(agreed, reach)
        limits = {name: Limit(nan=name in nan, most=most[name]) for name in floats}
        return {name: limit for name, limit in limits.items() if not (limit.nan and limit.most == math.inf)}

    def _refuse_others(self, columns: Sequence[str], values: Sequence[Any]) -> None:
        others = [name for name in columns if name not in self._agreed(columns, values)]
        if others:
            raise ModelRefusedError(
                "The model cannot be compiled: it refuses values that it did not see in training, or answers them "
                "otherwise than its graph would.",
                details=[f"column(s) {others}"],
                next_step="train its encoders with handle_unknown='ignore', or leave `compile` out.",
            )

    def _agreed(self, columns: Sequence[str], values: Sequence[Any]) -> set[str]:
        """The columns in which both models answer these values alike; asks all at once, then by halves."""
        if not columns:
            return set()
        if self._agree(pa.concat_batches([_changed(self.base, name, value) for name in columns for value in values])):
            return set(columns)
        if len(columns) == 1:
            return set()
        middle = len(columns) // 2
        return self._agreed(columns[:middle], values) | self._agreed(columns[middle:], values)

    def _agree(self, rows: pa.RecordBatch) -> bool:
        try:
            answers = [
                to_batch(model.predict(rows), self.outputs, rows.num_rows) for model in (self.original, self.compiled)
            ]
        except (Exception, SystemExit):
            return False
        return worst_difference(*answers).size <= self.bound


def _changed(base: pa.RecordBatch, name: str, value: Any) -> pa.RecordBatch:
    arrays: Iterable[pa.Array] = (
        _filled(column, value) if field.name == name else column
        for column, field in zip(base.columns, base.schema, strict=True)
    )
    return pa.RecordBatch.from_arrays(list(arrays), schema=base.schema)


def _filled(column: pa.Array, value: Any) -> pa.Array:
    def fill(old: Any) -> Any:
        return [fill(each) for each in old] if isinstance(old, list) else value

    held = column.type
    if pa.types.is_float32(_innermost(held)) and isinstance(value, float) and math.isfinite(value):
        value = float(np.float32(np.clip(value, -_MOST_SINGLE, _MOST_SINGLE)))
    return pa.array([fill(each) for each in column.to_pylist()], held)


def _innermost(type_: pa.DataType) -> pa.DataType:
    return _innermost(type_.value_type) if is_list(type_) else type_
