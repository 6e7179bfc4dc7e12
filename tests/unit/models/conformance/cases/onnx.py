"""ONNX models: converted from scikit-learn, and graphs made by hand.

Bounds: pyfunc and backend run the same kernels on one thread, but a matrix product over another number of rows may add
up in another order; float32 has 24 bits, so 1e-6 allows a few of the last. Trees, casts and texts are equal to the bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import ModelSignature, infer_signature
from mlflow.types import Schema, TensorSpec
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_diabetes, load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from tests.unit.models.conformance.case import Case

IRIS, SPECIES = load_iris(return_X_y=True, as_frame=True)
_RNG = np.random.default_rng(5)


def graph(
    nodes: Sequence[NodeProto],
    inputs: dict[str, tuple[int, list[Any]]],
    outputs: dict[str, tuple[int, list[Any]]],
    **weights: Any,
) -> ModelProto:
    """Put a model together; element type and shape for each input and output."""
    made = helper.make_graph(
        nodes,
        "made",
        [helper.make_tensor_value_info(name, *told) for name, told in inputs.items()],
        [helper.make_tensor_value_info(name, *told) for name, told in outputs.items()],
        [numpy_helper.from_array(np.asarray(values), name) for name, values in weights.items()],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(made, opset_imports=opsets, ir_version=8)


def saved(model: ModelProto, folder: Path, rows: Any, signature: ModelSignature | None = None) -> Any:
    """Save a model under the signature that its pyfunc's answers give, or the one given."""
    how: dict[str, Any] = {"pip_requirements": ["onnxruntime"]}
    if signature is None or signature.outputs is None:
        # A copy: saving moves the weights out of the model itself.
        draft = folder.with_name("draft")
        mlflow.onnx.save_model(deepcopy(model), draft, signature=signature, **how)
        answers = mlflow.pyfunc.load_model(str(draft)).predict(rows)
        inferred = infer_signature(rows, answers)
        signature = inferred if signature is None else ModelSignature(signature.inputs, inferred.outputs)
    mlflow.onnx.save_model(model, folder, signature=signature, **how)
    return rows


def tensors(**specs: tuple[str, tuple[int, ...]]) -> ModelSignature:
    return ModelSignature(Schema([TensorSpec(np.dtype(dtype), shape, name) for name, (dtype, shape) in specs.items()]))


def unnamed(dtype: str, *shape: int) -> ModelSignature:
    return ModelSignature(Schema([TensorSpec(np.dtype(dtype), shape)]))


def with_zipmap(folder: Path) -> Any:
    names = load_iris().target_names[SPECIES]
    fitted = LogisticRegression(max_iter=500).fit(IRIS.to_numpy(), names)
    model = convert_sklearn(fitted, initial_types=[("x", FloatTensorType([None, 4]))], target_opset=17)
    return saved(model, folder, IRIS)


def without_zipmap(folder: Path) -> Any:
    rows = IRIS.astype(np.float32)
    fitted = RandomForestClassifier(n_estimators=8, random_state=0).fit(rows.to_numpy(), SPECIES)
    kinds = [("x", FloatTensorType([None, 4]))]
    model = convert_sklearn(fitted, initial_types=kinds, options={"zipmap": False}, target_opset=17)
    return saved(model, folder, rows, unnamed("float32", -1, 4))


def regressor(folder: Path) -> Any:
    rows, target = load_diabetes(return_X_y=True, as_frame=True)
    fitted = LinearRegression().fit(rows.to_numpy(), target)
    model = convert_sklearn(fitted, initial_types=[("x", FloatTensorType([None, 10]))], target_opset=17)
    return saved(model, folder, rows)


def pipeline_with_strings(folder: Path) -> Any:
    rows = pd.DataFrame(
        {
            "city": _RNG.choice(["Oslo", "Köln", "A Coruña"], 90).astype(object),
            "size": _RNG.normal(100, 20, 90).astype(np.float32),
        }
    )
    steps = ColumnTransformer([("city", OneHotEncoder(), ["city"]), ("size", StandardScaler(), ["size"])])
    fitted = Pipeline([("columns", steps), ("model", LogisticRegression())]).fit(rows, rows["size"] > 100)
    kinds = [("city", StringTensorType([None, 1])), ("size", FloatTensorType([None, 1]))]
    model = convert_sklearn(fitted, initial_types=kinds, options={"zipmap": False}, target_opset=17)
    return saved(model, folder, rows, tensors(city=("str", (-1, 1)), size=("float32", (-1, 1))))


def two_in_two_out(folder: Path) -> Any:
    model = graph(
        [helper.make_node("MatMul", ["a", "w"], ["left"]), helper.make_node("ReduceSum", ["b", "axis"], ["right"])],
        {"a": (TensorProto.FLOAT, ["rows", 2]), "b": (TensorProto.INT64, ["rows", 3])},
        {"left": (TensorProto.FLOAT, ["rows", 4]), "right": (TensorProto.INT64, ["rows", 1])},
        w=_RNG.normal(size=(2, 4)).astype(np.float32),
        axis=np.array([1]),
    )
    rows = pd.DataFrame({"b": _RNG.integers(-9, 9, (40, 3)).tolist(), "a": list(_RNG.normal(size=(40, 2)).astype("f"))})
    return saved(model, folder, rows, tensors(a=("float32", (-1, 2)), b=("int64", (-1, 3))))


def a_column_for_each_input(folder: Path) -> Any:
    model = graph(
        [
            helper.make_node("Mul", ["price", "count"], ["total"]),
            helper.make_node("Not", ["closed"], ["open"]),
            helper.make_node(
                "LabelEncoder",
                ["name"],
                ["loud"],
                domain="ai.onnx.ml",
                keys_strings=["a", "bé", ""],
                values_strings=["A", "BÉ", "nothing"],
                default_string="?",
            ),
        ],
        {
            "price": (TensorProto.FLOAT, ["rows"]),
            "count": (TensorProto.FLOAT, ["rows"]),
            "closed": (TensorProto.BOOL, ["rows"]),
            "name": (TensorProto.STRING, ["rows"]),
        },
        {
            "total": (TensorProto.FLOAT, ["rows"]),
            "open": (TensorProto.BOOL, ["rows"]),
            "loud": (TensorProto.STRING, ["rows"]),
        },
    )
    rows = pd.DataFrame(
        {
            "name": ["a", "bé", "", "d"],
            "closed": [True, False, True, True],
            "count": [1.0, 2.0, np.nan, 4.0],
            "price": [0.1, 1e30, 3.0, -4.0],
        }
    )
    return saved(model, folder, rows)


def images(folder: Path) -> Any:
    # 1,600 bytes of weights: MLflow keeps them in a file of their own.
    model = graph(
        [
            helper.make_node("Conv", ["image", "w"], ["seen"]),
            helper.make_node("GlobalAveragePool", ["seen"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["features"]),
        ],
        {"image": (TensorProto.FLOAT, ["rows", 1, "height", "width"])},
        {"features": (TensorProto.FLOAT, ["rows", 16])},
        w=_RNG.normal(size=(16, 1, 5, 5)).astype(np.float32),
    )
    rows = pd.DataFrame({"pixels": list(_RNG.normal(size=(20, 64)).astype("f"))})
    return saved(model, folder, rows, unnamed("float32", -1, 1, 8, 8))


def doubles(folder: Path) -> Any:
    model = graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        {"x": (TensorProto.DOUBLE, ["rows", 3])},
        {"y": (TensorProto.DOUBLE, ["rows", 1])},
        w=_RNG.normal(size=(3, 1)),
    )
    rows = pd.DataFrame(_RNG.normal(size=(40, 3)), columns=["a", "b", "c"])
    return saved(model, folder, rows.assign(b=_RNG.integers(0, 9, 40)))


CASES = [
    Case(name="classifier with ZipMap, text labels", save=with_zipmap, backend="onnx"),
    Case(
        name="forest without ZipMap, one tensor of columns",
        save=without_zipmap,
        backend="onnx",
        options=(("inputs", tuple(IRIS.columns)),),
    ),
    Case(name="regressor on double columns", save=regressor, backend="onnx", rtol=1e-6),
    Case(name="pipeline with texts", save=pipeline_with_strings, backend="onnx", rtol=1e-6),
    Case(name="two tensors in, two out", save=two_in_two_out, backend="onnx", rtol=1e-6),
    Case(name="a column for each input: numbers, texts, truth values", save=a_column_for_each_input, backend="onnx"),
    Case(
        name="images, weights in a file of their own",
        save=images,
        backend="onnx",
        rtol=1e-6,
        options=(("inputs", ("pixels",)),),
    ),
    Case(name="doubles and longs in a graph of doubles", save=doubles, backend="onnx", rtol=1e-14),
]
