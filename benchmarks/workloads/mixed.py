"""A pipeline over floats, integers and texts with nulls: what tables look like."""

from __future__ import annotations

from typing import Any

import mlflow
import numpy as np
import pandas as pd

from benchmarks.workload import SEED
from benchmarks.workloads.spec import Columns, Random, Spec, how, label_of, names, with_nulls

FLOATS, INTEGERS, TEXTS = names("float", 20), names("integer", 10), names("text", 10)
VALUES = (10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000)
"""How many different values each text has."""
FEW = 20
NULL_SHARE = 0.05


def _columns(random: Random, rows: int) -> Columns:
    floats = {name: with_nulls(random.normal(size=rows), random, NULL_SHARE) for name in FLOATS}
    integers = {
        name: with_nulls(random.integers(0, 1_000, rows, dtype=np.int32), random, NULL_SHARE) for name in INTEGERS
    }
    texts = {
        name: with_nulls(np.array([f"value {i}" for i in random.integers(0, count, rows)]), random, NULL_SHARE)
        for name, count in zip(TEXTS, VALUES, strict=True)
    }
    return floats | integers | texts


def _pipeline(frame: pd.DataFrame, random: Random, share: float) -> Any:
    """300 trees of depth 6 behind imputers and encoders; it returns probabilities."""
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder
    from xgboost import XGBRegressor

    few = [name for name, count in zip(TEXTS, VALUES, strict=True) if count <= FEW]
    many = [name for name in TEXTS if name not in few]
    encode = make_column_transformer(
        (SimpleImputer(strategy="median"), [*FLOATS, *INTEGERS]),
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), few),
        (OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), many),
    )
    trees = XGBRegressor(
        n_estimators=round(300 * share), max_depth=6, objective="binary:logistic", n_jobs=1, random_state=SEED
    )
    numbers = frame[[*FLOATS, *INTEGERS]]
    model = make_pipeline(encode, trees).fit(frame, label_of(numbers, random))
    more = how(frame, model.predict(frame), "scikit-learn")
    more["pip_requirements"] += how(frame, None, "xgboost")["pip_requirements"]
    return mlflow.sklearn.log_model(model, **more)


SPECS = {
    "W3": Spec(
        title="XGBoost pipeline, texts and nulls",
        rows=500_000,
        columns=_columns,
        features=(*FLOATS, *INTEGERS, *TEXTS),
        train=_pipeline,
        outputs=(("prediction", "float"),),
        feeds="frame",
        batch_rows=32_768,
    )
}
"""By the name of the workload."""
