"""Models that cost almost nothing: what it takes to bring rows to a model and back."""

from __future__ import annotations

from typing import Any

import mlflow
import pandas as pd

from benchmarks.workloads.spec import Columns, Random, Spec, how, label_of, names, normal, with_nulls

WIDTHS = (1, 5, 20, 80, 200)
FEATURES = names("f", 30)
QUICK = tuple(f"f{i:02d}" for i in range(30))
NULLABLE, NULL_SHARE = 5, 0.02


def _with_some_nulls(random: Random, rows: int) -> Columns:
    columns = normal(FEATURES)(random, rows)
    return columns | {name: with_nulls(columns[name], random, NULL_SHARE) for name in FEATURES[:NULLABLE]}


def _sum(frame: pd.DataFrame, random: Random, share: float) -> Any:
    """The cheapest model that reads all its columns."""
    from sklearn.linear_model import LinearRegression

    target = frame.to_numpy() @ random.normal(size=frame.shape[1])
    model = LinearRegression().fit(frame, target)
    return mlflow.sklearn.log_model(model, **how(frame, model.predict(frame), "scikit-learn"))


def _logistic(frame: pd.DataFrame, random: Random, share: float) -> Any:
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    impute = [SimpleImputer()] if frame.isna().to_numpy().any() else []
    model = make_pipeline(*impute, StandardScaler(), LogisticRegression()).fit(frame, label_of(frame, random))
    return mlflow.sklearn.log_model(model, **how(frame, model.predict(frame), "scikit-learn"))


def _width(count: int) -> Spec:
    features = names("f", count)
    return Spec(
        title=f"the sum of {count} column{'s' if count > 1 else ''}",
        rows=2_000_000 if count < 100 else 200_000,
        columns=normal(features),
        features=features,
        train=_sum,
        outputs=(("prediction", "double"),),
        # A matrix in another layout is summed in another order.
        tolerance=1e-9,
        training_rows=2_000,
        batch_rows=65_536,
    )


SPECS = {
    **{f"W0-{count}": _width(count) for count in WIDTHS},
    "W1": Spec(
        title="logistic regression, 30 columns, some nulls",
        rows=5_000_000,
        columns=_with_some_nulls,
        features=FEATURES,
        train=_logistic,
        batch_rows=65_536,
        outputs=(("prediction", "long"),),
    ),
    "logistic": Spec(
        title="logistic regression, 30 columns",
        rows=2_000_000,
        columns=normal(QUICK),
        features=QUICK,
        train=_logistic,
        batch_rows=65_536,
        outputs=(("prediction", "long"),),
    ),
}
"""By the name of the workload."""
