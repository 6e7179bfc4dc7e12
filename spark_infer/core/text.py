"""The text of a value that a model returned and the user declared as string: Python's `str` of it.

As `mlflow.pyfunc.spark_udf` has it: ``1.0``, ``True``, ``1e-05``, ``2024-01-01 00:00:00``; where that writes ``None``
and ``nan``, null stays null. The text depends on the value alone, never on what else is in the batch.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa


def as_text(array: pa.Array) -> pa.Array:
    """Return the texts of an array that is not nested."""
    return pa.array([text(value) for value in array.to_pylist()], pa.string())


def text(value: Any) -> str | None:
    """Return the text of one value; None for what pandas takes for missing.

    >>> text(1.0), text(np.float32(0.5)), text(True), text(float("nan"))
    ('1.0', '0.5', 'True', None)
    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, np.datetime64 | np.timedelta64):
        value = pa.scalar(value).as_py()
    elif isinstance(value, np.generic):
        # As the number that Python has for it: numpy spells a float32 in fewer digits than the double that it equals.
        value = value.item()
    # NaN differs from itself. The other two are pandas' own marks, and pandas is not known here.
    missing = type(value).__name__ in ("NAType", "NaTType") or (isinstance(value, float) and value != value)
    return None if missing or value is None else str(value)
