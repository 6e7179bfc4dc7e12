"""A model for jobs whose tables matter more than their models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import ModelSignature, infer_signature
from mlflow.types import ColSpec, Schema
from onnx import TensorProto, helper
from sklearn.linear_model import LinearRegression

from tests.light_skops import import_skops


def save_line(folder: Path, slope: float = 2.0) -> str:
    """Save a model that doubles ``x`` (or multiplies it by another slope), and return its folder."""
    import_skops()
    rows = pd.DataFrame({"x": np.arange(20.0)})
    model = LinearRegression().fit(rows, slope * rows.x)
    mlflow.sklearn.save_model(
        model, folder, signature=infer_signature(rows, model.predict(rows)), pip_requirements=["scikit-learn"]
    )
    return str(folder)


def save_light_line(folder: Path, slope: float = 2.0) -> str:
    """Save such a model as an ONNX graph: a process that loads it imports no scikit-learn, which takes a second."""
    column: Any = {"elem_type": TensorProto.DOUBLE, "shape": [None, 1]}
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "slope"], ["prediction"])],
        "line",
        [helper.make_tensor_value_info("x", **column)],
        [helper.make_tensor_value_info("prediction", **column)],
        [helper.make_tensor("slope", TensorProto.DOUBLE, [1], [slope])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    columns = {name: Schema([ColSpec("double", name)]) for name in ("x", "prediction")}
    signature = ModelSignature(columns["x"], columns["prediction"])
    mlflow.onnx.save_model(model, folder, signature=signature, pip_requirements=["onnxruntime"])
    return str(folder)
