"""Workloads of the hot loop: each a table, a model of MLflow's, and what the model alone costs on arrays in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
from mlflow.models import ModelSignature, infer_signature
from mlflow.types import Schema, TensorSpec

SEED = 0
TRAINING_ROWS = 20_000
NULLS = 0.05
TEN = tuple(f"x{index:03}" for index in range(10))
CARDINALITIES = (10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000)

Alone = Callable[[], Any]
"""Predicts all rows on arrays that lie in memory already."""


@dataclass(frozen=True)
class HotCase:
    """One workload.

    Attributes:
        table: Makes a table of so many rows.
        save: Trains a model on a table and saves it into a folder; returns it.
        alone: From the model and the table to a call of the model without us.
        score: Options of the scoring.
    """

    table: Callable[[int], pa.Table]
    save: Callable[[pa.Table, Path], Any]
    alone: Callable[[Any, pa.Table], Alone]
    score: Mapping[str, Any]


def _numbers(rows: int, count: int, kind: str = "f8") -> dict[str, np.ndarray[Any, Any]]:
    random = np.random.default_rng([SEED, count])
    return {f"x{index:03}": random.normal(size=rows).astype(kind) for index in range(count)}


def _with_nulls(values: np.ndarray[Any, Any], seed: int) -> pa.Array:
    return pa.array(values, mask=np.random.default_rng([SEED, seed]).random(len(values)) < NULLS)


def _texts(rows: int, cardinalities: tuple[int, ...], nulls: float) -> dict[str, pa.Array]:
    columns = {}
    for index, count in enumerate(cardinalities):
        random = np.random.default_rng([SEED, 100 + index])
        names = pa.array([f"value {index} {number:06}" for number in range(count)])
        picked = pa.array(random.integers(0, count, rows), mask=random.random(rows) < nulls)
        columns[f"s{index:02}"] = names.take(picked)
    return columns


def _pipeline_table(rows: int) -> pa.Table:
    floats = {name: _with_nulls(values, index) for index, (name, values) in enumerate(_numbers(rows, 20).items())}
    random = np.random.default_rng([SEED, 7])
    integers = {f"i{index:02}": random.integers(0, 1000, rows) for index in range(10)}
    return pa.table({"id": np.arange(rows), **floats, **integers, **_texts(rows, CARDINALITIES, NULLS)})


def _save_pipeline(table: pa.Table, folder: Path) -> Any:
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder
    from xgboost import XGBClassifier

    frame = _frame(table.slice(0, TRAINING_ROWS))
    names = list(frame.columns)
    few, many = [f"s{index:02}" for index in range(3)], [f"s{index:02}" for index in range(3, 10)]
    fill = SimpleImputer(strategy="constant", fill_value="none", missing_values=None)
    columns = make_column_transformer(
        (SimpleImputer(), [name for name in names if name[0] in "xi"]),
        (make_pipeline(fill, OneHotEncoder(handle_unknown="ignore", sparse_output=False)), few),
        (make_pipeline(fill, OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)), many),
    )
    model = make_pipeline(columns, XGBClassifier(n_estimators=300, max_depth=6, n_jobs=1))
    model.fit(frame, (frame["x000"].fillna(0) + frame["i00"] / 500 > 1).astype(int))
    _log(model, folder, infer_signature(frame, model.predict(frame)))
    return model


def _frame(table: pa.Table) -> pd.DataFrame:
    frame = table.drop_columns(["id"]).to_pandas()
    texts = frame.select_dtypes("object")
    return frame.assign(**{name: texts[name].where(texts[name].notna(), None) for name in texts})


def _forest_table(rows: int) -> pa.Table:
    return pa.table({"id": np.arange(rows), **_numbers(rows, 40, "f4")})


def _save_forest(table: pa.Table, folder: Path) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    frame = _frame(table.slice(0, TRAINING_ROWS))
    labels = pd.qcut(frame["x000"] + frame["x001"] * frame["x002"], 5, labels=False)
    model = RandomForestClassifier(200, max_depth=12, n_jobs=1, random_state=SEED).fit(frame, labels)
    _log(model, folder, infer_signature(frame))
    return model


def _wide_table(rows: int) -> pa.Table:
    return pa.table({"id": np.arange(rows), **_numbers(rows, 180), **_texts(rows, CARDINALITIES * 2, 0.0)})


def _save_wide(table: pa.Table, folder: Path) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    frame = _frame(table.slice(0, TRAINING_ROWS))[list(TEN)]
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(frame, frame["x000"] > 0)
    _log(model, folder, infer_signature(frame, model.predict(frame)))
    return model


def _mlp_table(rows: int) -> pa.Table:
    values = np.random.default_rng([SEED, 128]).normal(size=rows * 128).astype("f4")
    lists = pa.ListArray.from_arrays(np.arange(rows + 1, dtype=np.int32) * 128, pa.array(values))
    return pa.table({"id": np.arange(rows), "features": lists})


def _save_mlp(table: pa.Table, folder: Path) -> Any:
    import torch
    from torch import nn

    torch.manual_seed(SEED)
    model = nn.Sequential(nn.Linear(128, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)).eval()
    floats = np.dtype(np.float32)
    takes, gives = (Schema([TensorSpec(floats, (-1, width))]) for width in (128, 10))
    signature = ModelSignature(takes, gives)
    mlflow.pytorch.save_model(model, str(folder), signature=signature, serialization_format="pickle")
    return model


def _mlp_alone(model: Any, table: pa.Table) -> Alone:
    import torch

    torch.set_num_threads(1)
    rows = torch.from_numpy(table["features"].combine_chunks().flatten().to_numpy().reshape(-1, 128).copy())

    def run() -> None:
        with torch.inference_mode():
            for part in rows.split(10_000):  # type: ignore[no-untyped-call]  # torch has no types here
                model(part)

    return run


def _log(model: Any, folder: Path, signature: ModelSignature) -> None:
    mlflow.sklearn.save_model(model, str(folder), signature=signature, serialization_format="cloudpickle")


def _labels(model: Any, table: pa.Table) -> Alone:
    return partial(model.predict, _frame(table))


def _labels_of_ten(model: Any, table: pa.Table) -> Alone:
    return partial(model.predict, _frame(table.select(["id", *TEN])))


def _probabilities(model: Any, table: pa.Table) -> Alone:
    return partial(model.predict_proba, _frame(table))


CASES: Mapping[str, HotCase] = {
    "pipeline": HotCase(_pipeline_table, _save_pipeline, _labels, {}),
    "mlp": HotCase(_mlp_table, _save_mlp, _mlp_alone, {"inputs": ("features",)}),
    "forest": HotCase(_forest_table, _save_forest, _probabilities, {"predict_method": ("predict", "predict_proba")}),
    "wide": HotCase(_wide_table, _save_wide, _labels_of_ten, {}),
}
