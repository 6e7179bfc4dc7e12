"""Save small models with MLflow, and beside each its rows with what it answers: `python make_models.py FOLDER NAME...`.

It runs in an environment that has the libraries of all models; others then score them with those of one extra.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from mlflow.models import infer_signature

NUMBERS = pd.DataFrame({"x": np.arange(20.0)})
DOUBLED = 2 * NUMBERS.x


def sklearn(folder: Path) -> Any:
    from sklearn.linear_model import LinearRegression

    model = LinearRegression().fit(NUMBERS, DOUBLED)
    # A pickle, which is what the extra `scan` looks through.
    return _saved(mlflow.sklearn, model, folder, model.predict(NUMBERS), serialization_format="cloudpickle")


def xgboost(folder: Path) -> Any:
    from xgboost import XGBRegressor

    model = XGBRegressor(n_estimators=5).fit(NUMBERS, DOUBLED)
    return _saved(mlflow.xgboost, model, folder, model.predict(NUMBERS))


def lightgbm(folder: Path) -> Any:
    from lightgbm import LGBMRegressor

    model = LGBMRegressor(n_estimators=5, min_child_samples=1, verbose=-1).fit(NUMBERS, DOUBLED)
    return _saved(mlflow.lightgbm, model, folder, model.predict(NUMBERS))


def catboost(folder: Path) -> Any:
    from catboost import CatBoostRegressor

    model = CatBoostRegressor(iterations=5, verbose=False, allow_writing_files=False).fit(NUMBERS, DOUBLED)
    return _saved(mlflow.catboost, model, folder, model.predict(NUMBERS))


def onnx(folder: Path) -> Any:
    from onnx import TensorProto, helper

    ends = [helper.make_tensor_value_info(name, TensorProto.DOUBLE, [None, 1]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "doubled", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return _saved(mlflow.onnx, model, folder, pd.DataFrame({"y": DOUBLED}))["y"]


def pytorch(folder: Path) -> Any:
    import torch

    model = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(model.weight, 2.0)
    return _saved(mlflow.pytorch, model, folder, DOUBLED.to_numpy(np.float32), serialization_format="pickle")


def transformers(folder: Path) -> Any:
    from tests.small_transformers import classifier, texts

    rows = texts(8)
    answers = [each["label"] for each in classifier()(rows)]
    signature = infer_signature(pd.DataFrame({"text": rows}), pd.Series(answers, name="label"))
    mlflow.transformers.save_model(classifier(), folder, signature=signature, pip_requirements=["transformers"])
    pq.write_table(pa.table({"text": rows}), folder / "rows.parquet")
    return answers


def sentence_transformers(folder: Path) -> Any:
    from tests.small_transformers import embedder, save_embedder, texts

    save_embedder(folder.with_name("embedder")).rename(folder)
    pq.write_table(pa.table({"text": texts(8)}), folder / "rows.parquet")
    return embedder(folder.with_name("parts")).encode(texts(8)).tolist()


def registered(folder: Path) -> Any:
    """Not a folder but a version in a registry: a pyfunc, which MLflow loads."""
    mlflow.set_tracking_uri(f"sqlite:///{folder.parent}/mlflow.db")
    (folder.parent / "doubles.py").write_text(
        "import mlflow\n\n\nclass Doubles(mlflow.pyfunc.PythonModel):\n"
        "    def predict(self, context, model_input, params=None):\n        return 2 * model_input['x']\n\n\n"
        "mlflow.models.set_model(Doubles())\n"
    )
    mlflow.set_experiment(experiment_id=mlflow.create_experiment("doubles", f"file://{folder.parent}/artifacts"))
    with mlflow.start_run():
        how: dict[str, Any] = {"pip_requirements": ["pandas"], "signature": infer_signature(NUMBERS, DOUBLED)}
        info = mlflow.pyfunc.log_model("model", python_model=str(folder.parent / "doubles.py"), **how)
    mlflow.register_model(info.model_uri, "doubles")
    folder.mkdir()
    pq.write_table(pa.table({"x": NUMBERS.x}), folder / "rows.parquet")
    return DOUBLED


def _saved(flavor: Any, model: Any, folder: Path, answers: Any, **how: Any) -> Any:
    signature = infer_signature(NUMBERS, answers)
    flavor.save_model(model, str(folder), signature=signature, pip_requirements=[], **how)
    pq.write_table(pa.table({"x": NUMBERS.x}), folder / "rows.parquet")
    return answers


if __name__ == "__main__":
    for name in sys.argv[2:]:
        folder = Path(sys.argv[1]) / name
        answers = globals()[name](folder)
        pq.write_table(pa.table({"answer": list(answers)}), folder / "answers.parquet")
