"""What a workload is before it is made: how its table is filled and how its model is trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from mlflow.models import infer_signature

Random = np.random.Generator
Columns = dict[str, "npt.NDArray[Any] | pa.Array"]


@dataclass(frozen=True, kw_only=True)
class Spec:
    """How to make a workload.

    Attributes:
        title: What it is, in a table's width.
        rows: Rows at scale 1.
        files: Files of the table.
        columns: Fills all columns but `id` for so many rows.
        features: The columns that the model reads.
        train: Trains and logs a model, given a frame of the features and the share of the full size it shall have.
        outputs: Name and Spark type of each column that is written beside the kept ones.
        raw_type: Spark's name for what the model returns, where it is not the type of the only output.
        feeds, dtype, method, labels, tolerance, spark_conf: As in `Workload`.
        keep_all: Whether all columns of the table are written too, and not only `id`.
        training_rows: Rows to train on at full size.
        batch_rows: As in `Workload`.
    """

    title: str
    rows: int
    columns: Callable[[Random, int], Columns]
    features: tuple[str, ...]
    train: Callable[[pd.DataFrame, Random, float], Any]
    outputs: tuple[tuple[str, str], ...]
    raw_type: str = ""
    files: int = 8
    feeds: str = "matrix"
    dtype: str = "float64"
    method: str = "predict"
    labels: tuple[str, ...] = ()
    keep_all: bool = False
    tolerance: float = 0.0
    training_rows: int = 50_000
    batch_rows: int = 10_000
    spark_conf: tuple[tuple[str, str], ...] = ()


def names(prefix: str, count: int) -> tuple[str, ...]:
    """Return names for so many columns."""
    return tuple(f"{prefix}{i:03d}" for i in range(count))


def normal(features: tuple[str, ...], dtype: str = "float64") -> Callable[[Random, int], Columns]:
    """Fill columns with a normal distribution, without nulls."""

    def fill(random: Random, rows: int) -> Columns:
        values = random.normal(size=(len(features), rows)).astype(dtype)
        return dict(zip(features, values, strict=True))

    return fill


def with_nulls(values: Any, random: Random, share: float) -> pa.Array:
    """Make a share of the values null."""
    return pa.array(values, mask=random.random(len(values)) < share)


def label_of(frame: pd.DataFrame, random: Random, classes: int = 2) -> npt.NDArray[np.int64]:
    """Draw classes that depend on the columns' weighted sum, and on chance."""
    values = frame.fillna(0.0).to_numpy(np.float64)
    score = values @ random.normal(size=values.shape[1])
    score += random.normal(size=len(score)) * score.std() / 3
    labels: npt.NDArray[np.int64] = np.searchsorted(np.quantile(score, np.arange(1, classes) / classes), score)
    return labels


def how(features: Any, predicted: Any, package: str, **more: Any) -> dict[str, Any]:
    """Return what all models are logged with; the requirements are named, because finding them out takes a minute."""
    if package == "scikit-learn":
        # MLflow's other format, skops, has to be told which types to trust.
        more["serialization_format"] = "cloudpickle"
    return {
        "name": "model",
        "signature": infer_signature(features, predicted),
        "registered_model_name": "benchmark",
        "pip_requirements": [f"{package}=={version(package)}"],
        **more,
    }
