"""Forests and boosted trees: models that cost something for each row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mlflow
import numpy as np
import pandas as pd

from benchmarks.workload import SEED
from benchmarks.workloads.linear import QUICK
from benchmarks.workloads.spec import Columns, Random, Spec, how, label_of, names, normal

WIDE, USED, TEXTS, TEXT_VALUES = 200, 10, 20, 1_000
CLASSES = tuple(f"class {i}" for i in range(5))


def _lightgbm(trees: int, **settings: Any) -> Callable[[pd.DataFrame, Random, float], Any]:
    def train(frame: pd.DataFrame, random: Random, share: float) -> Any:
        """A booster; it returns probabilities."""
        import lightgbm

        rows = lightgbm.Dataset(frame, label_of(frame, random))
        always = {"objective": "binary", "verbosity": -1, "num_threads": 1, "seed": SEED}
        model = lightgbm.train(always | settings, rows, round(trees * share))
        return mlflow.lightgbm.log_model(model, **how(frame, model.predict(frame), "lightgbm"))

    return train


def _xgboost(frame: pd.DataFrame, random: Random, share: float) -> Any:
    """A booster of 100 trees with XGBoost's own settings; it returns probabilities."""
    import xgboost

    rows = xgboost.DMatrix(frame, label_of(frame, random))
    model = xgboost.train({"objective": "binary:logistic", "nthread": 1, "seed": SEED}, rows, round(100 * share))
    return mlflow.xgboost.log_model(model, **how(frame, model.predict(rows), "xgboost"))


def _forest(frame: pd.DataFrame, random: Random, share: float) -> Any:
    """A forest of 200 trees of depth 12; it returns the probabilities of five classes."""
    from sklearn.ensemble import RandomForestClassifier

    model = RandomForestClassifier(round(200 * share), max_depth=12, random_state=SEED, n_jobs=1)
    model.fit(frame, label_of(frame, random, classes=len(CLASSES)))
    more = how(frame, model.predict_proba(frame), "scikit-learn", pyfunc_predict_fn="predict_proba")
    return mlflow.sklearn.log_model(model, **more)


def _heavy_forest(frame: pd.DataFrame, random: Random, share: float) -> Any:
    """A forest of deep trees, 200 MB of them at full size: slow to load, not slow to call."""
    from sklearn.ensemble import RandomForestRegressor

    model = RandomForestRegressor(round(200 * share), max_features=3, random_state=SEED, n_jobs=1)
    model.fit(frame, frame.to_numpy() @ random.normal(size=frame.shape[1]) + random.normal(size=len(frame)))
    return mlflow.sklearn.log_model(model, **how(frame, model.predict(frame), "scikit-learn"))


def _wide(random: Random, rows: int) -> Columns:
    """Many doubles and a few texts; the model reads ten of the doubles."""
    numbers = normal(names("f", WIDE - TEXTS))(random, rows)
    values = np.array([f"value {i:04d}" for i in range(TEXT_VALUES)], dtype=object)
    return numbers | {name: values[random.integers(0, TEXT_VALUES, rows)] for name in names("text", TEXTS)}


def _boosted(title: str, features: tuple[str, ...], rows: int, train: Any, **more: Any) -> Spec:
    fill = more.pop("columns", normal(features))
    return Spec(title=title, rows=rows, columns=fill, features=features, train=train, **more)


DOUBLE, FLOAT = (("prediction", "double"),), (("prediction", "float"),)

SPECS = {
    "W2": _boosted(
        "LightGBM, 500 trees, 50 columns",
        names("f", 50),
        1_000_000,
        _lightgbm(500, num_leaves=63),
        outputs=DOUBLE,
    ),
    "W4": _boosted(
        "random forest, label and 5 probabilities",
        names("f", 40),
        300_000,
        _forest,
        columns=normal(names("f", 40), "float32"),
        outputs=(("label", "string"), ("probabilities", "array<double>")),
        raw_type="array<double>",
        dtype="float32",
        method="predict_proba",
        labels=CLASSES,
        batch_rows=32_768,
    ),
    "W5": _boosted(
        "LightGBM on 10 of 200 columns, all kept",
        names("f", USED),
        500_000,
        _lightgbm(500, num_leaves=63),
        columns=_wide,
        keep_all=True,
        outputs=DOUBLE,
    ),
    "W9": _boosted(
        "200 MB forest, 200 partitions",
        names("f", 30),
        100_000,
        _heavy_forest,
        files=200,
        outputs=DOUBLE,
        training_rows=12_000,
        # A sum of as many trees, in an order that the batch's size decides.
        tolerance=1e-12,
        # Each file is a partition of its own, as it would be in a table of many large files.
        spark_conf=(("spark.sql.files.maxPartitionBytes", "1m"),),
    ),
    "lightgbm": _boosted("LightGBM, 100 trees, 30 columns", QUICK, 2_000_000, _lightgbm(100), outputs=DOUBLE),
    "xgboost": _boosted("XGBoost, 100 trees, 30 columns", QUICK, 2_000_000, _xgboost, outputs=FLOAT, batch_rows=32_768),
}
"""By the name of the workload."""
