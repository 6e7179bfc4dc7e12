"""A pyfunc that says what it was given; MLflow runs this file to make the model.

It returns one JSON object for each row: column -> [dtype, value], spelled so that no two values look alike.
"""

import json
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.pyfunc.model import PythonModel


def told(value: Any) -> str:
    """Spell a value with its kind: ``float32[1.0, nan]``, ``[1]``, ``{'a': 1}``, ``b'00ff'``, ``2024-01-01T00:00``."""
    if isinstance(value, np.ndarray):
        kind = "str" if value.dtype.kind == "U" else value.dtype.name
        return kind + "[" + ", ".join(told(each) for each in value) + "]"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(told(each) for each in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{told(key)}: {told(each)}" for key, each in value.items()) + "}"
    if isinstance(value, bytes):
        return f"b'{value.hex()}'"
    if value is pd.NaT or value is None:
        return str(value)
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    if isinstance(value, np.generic):
        return told(value.item())
    if isinstance(value, str) and len(value) > 100:
        return f"{value[0]!r} x {len(value)}" if value == value[0] * len(value) else "some text"
    return repr(value)


class Echo(PythonModel):
    """Describes each row of its input."""

    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        columns = {str(name): model_input[name] for name in model_input}
        kinds = {name: str(values.dtype) for name, values in columns.items()}
        rows = len(next(iter(columns.values())))
        lists = {name: list(values) for name, values in columns.items()}
        return [json.dumps({name: [kinds[name], told(lists[name][row])] for name in lists}) for row in range(rows)]


mlflow.models.set_model(Echo())
