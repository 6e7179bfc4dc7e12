"""Log small models with the MLflow of this environment, for `test_logged_before.py`: `python make.py FOLDER`.

The environments in which the stored ones were made, Python 3.9 and 3.10:

    mlflow==1.30.1 scikit-learn==1.1.3 xgboost==1.6.2 lightgbm==3.3.5 onnx==1.12.0 onnxruntime==1.12.1
    numpy==1.23.5 pandas==1.5.3 protobuf==3.20.1 setuptools==69.5.1

    mlflow==2.9.2 scikit-learn==1.3.2 xgboost==2.0.3 lightgbm==4.1.0 onnx==1.15.0 onnxruntime==1.16.3
    numpy==1.26.4 pandas==2.1.4 setuptools==69.5.1

Each model is asked for x from -4 to 4: the linear ones answer 2x, the trees 1 below zero and 3 above.
The tree of 2.9 is not stored: scikit-learn 1.9 answers with it, and 1.7 does not.
"""

import inspect
import sys
import tempfile
from pathlib import Path

import lightgbm
import mlflow
import mlflow.lightgbm
import mlflow.onnx
import mlflow.pyfunc
import mlflow.sklearn
import mlflow.xgboost
import numpy as np
import onnx
import pandas as pd
import sklearn
import xgboost
from mlflow.models import infer_signature
from sklearn.linear_model import LinearRegression
from sklearn.tree import DecisionTreeRegressor

ROWS = pd.DataFrame({"x": np.array([-4, -3, -2, -1, 1, 2, 3, 4], dtype=np.float64)})
STEPS = np.where(ROWS.x < 0, 1.0, 3.0)
SKLEARN = [f"scikit-learn=={sklearn.__version__}"]
LIGHTGBM = [f"lightgbm=={lightgbm.__version__}"]
XGBOOST = [f"xgboost=={xgboost.__version__}"]
DOUBLING = """
from typing import Any


class Doubling:
    def predict(self, rows: Any) -> Any:
        return rows["x"] * 2


def _load_pyfunc(path: str) -> Doubling:
    return Doubling()
"""


def main(folder: Path) -> None:
    """Log one model of each kind below a folder."""
    step = infer_signature(ROWS, STEPS)
    line = infer_signature(ROWS, ROWS.x.to_numpy() * 2)
    named = infer_signature(ROWS, pd.DataFrame({"y": ROWS.x * 2}))
    mlflow.sklearn.save_model(
        LinearRegression().fit(ROWS, ROWS.x * 2), folder / "sklearn-line", signature=line, pip_requirements=SKLEARN
    )
    mlflow.sklearn.save_model(
        DecisionTreeRegressor().fit(ROWS, STEPS), folder / "sklearn-tree", signature=step, pip_requirements=SKLEARN
    )
    exact = {"max_depth": 1, "n_estimators": 1, "learning_rate": 1.0, "reg_lambda": 0.0, "base_score": 0.0}
    regressor = xgboost.XGBRegressor(**exact).fit(ROWS, STEPS)
    mlflow.xgboost.save_model(regressor, folder / "xgboost-regressor", signature=step, pip_requirements=XGBOOST)
    mlflow.xgboost.save_model(regressor.get_booster(), folder / "xgboost", signature=step, pip_requirements=XGBOOST)
    if "model_format" in inspect.signature(mlflow.xgboost.save_model).parameters:
        mlflow.xgboost.save_model(
            regressor, folder / "xgboost-json", signature=step, pip_requirements=XGBOOST, model_format="json"
        )
    settings = {"objective": "regression", "num_leaves": 2, "min_data_in_leaf": 1, "min_data_in_bin": 1, "verbose": -1}
    booster = lightgbm.train({**settings, "learning_rate": 1.0}, lightgbm.Dataset(ROWS, STEPS), num_boost_round=1)
    mlflow.lightgbm.save_model(booster, folder / "lightgbm", signature=step, pip_requirements=LIGHTGBM)
    estimator = lightgbm.LGBMRegressor(
        n_estimators=1, num_leaves=2, min_child_samples=1, learning_rate=1.0, min_data_in_bin=1
    )
    mlflow.lightgbm.save_model(
        estimator.fit(ROWS, STEPS), folder / "lightgbm-regressor", signature=step, pip_requirements=LIGHTGBM
    )
    mlflow.onnx.save_model(
        doubling_graph(), folder / "onnx", signature=named, pip_requirements=[f"onnx=={onnx.__version__}"]
    )
    with tempfile.TemporaryDirectory() as code:
        module = Path(code) / "doubling_of_before.py"
        module.write_text(DOUBLING)
        mlflow.pyfunc.save_model(
            str(folder / "pyfunc"),
            loader_module="doubling_of_before",
            data_path=None,
            code_path=[str(module)],
            signature=line,
            pip_requirements=[],
        )


def doubling_graph() -> onnx.ModelProto:
    """Return a graph with one input of shape (rows, 1)."""
    value = {name: onnx.helper.make_tensor_value_info(name, onnx.TensorProto.DOUBLE, [None, 1]) for name in ("x", "y")}
    two = onnx.helper.make_tensor("two", onnx.TensorProto.DOUBLE, [1], [2.0])
    node = onnx.helper.make_node("Mul", ["x", "two"], ["y"])
    graph = onnx.helper.make_graph([node], "doubling", [value["x"]], [value["y"]], [two])
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
