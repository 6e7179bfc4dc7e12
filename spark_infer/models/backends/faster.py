"""What makes scikit-learn's own steps faster and their answers no different: batches, layout, and no copies of ours."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterable
from typing import Any, Literal

from spark_infer.config import DEFAULT_BATCH_SIZE

_FAMILIES = (
    "calibration",
    "compose",
    "decomposition",
    "discriminant_analysis",
    "dummy",
    "ensemble",
    "feature_selection",
    "impute",
    "isotonic",
    "linear_model",
    "multiclass",
    "multioutput",
    "naive_bayes",
    "pipeline",
    "preprocessing",
    "tree",
)
"""Parts of scikit-learn whose memory grows with rows times columns or classes: kernels and neighbors, for example,
hold a number for each row and each row of the training data."""
_ELSEWHERE = ("sklearn.impute._knn", "sklearn.impute._iterative")
_BOOSTERS = ("xgboost", "lightgbm")

_MOST_ROWS = 65_536
_MATRIX_BYTES = 32 * 2**20
"""The widest matrix between two steps: a worker holds a few of them."""

_IN_PLACE = (
    "sklearn.impute._base.SimpleImputer",
    "sklearn.preprocessing._data.Binarizer",
    "sklearn.preprocessing._data.MaxAbsScaler",
    "sklearn.preprocessing._data.MinMaxScaler",
    "sklearn.preprocessing._data.Normalizer",
    "sklearn.preprocessing._data.PowerTransformer",
    "sklearn.preprocessing._data.QuantileTransformer",
    "sklearn.preprocessing._data.RobustScaler",
    "sklearn.preprocessing._data.StandardScaler",
)
"""Transformers whose ``copy`` says whether `transform` works on a copy of what it is given."""


_FORESTS = (
    "sklearn.ensemble._forest.ExtraTreesClassifier",
    "sklearn.ensemble._forest.ExtraTreesRegressor",
    "sklearn.ensemble._forest.RandomForestClassifier",
    "sklearn.ensemble._forest.RandomForestRegressor",
)
_MANY_TREES = 5
"""From here on a row that lies together spares more than it costs to bring it together: 20 ns a tree against 36."""


def batch_rows(parts: Iterable[Any]) -> int | None:
    """Return how many rows to hand to an estimator at a time; None where nothing speaks for other than the usual.

    Each call of a pipeline costs about a millisecond before it looks at a row; what batches of 10,000 rows cost more,
    `python -m benchmarks.suite --ablations --workload W1` shows.

    Args:
        parts: The estimator and everything fitted inside it.
    """
    width = 1
    for part in parts:
        kind = type(part).__module__
        package, _, rest = kind.partition(".")
        family = rest.partition(".")[0]
        if package not in _BOOSTERS and (package != "sklearn" or family not in _FAMILIES or kind in _ELSEWHERE):
            return None
        width = max(width, getattr(part, "n_features_in_", 1), _classes(part))
    rows = min(_MOST_ROWS, _MATRIX_BYTES // (8 * width))
    return rows if rows > DEFAULT_BATCH_SIZE else None


def _classes(part: Any) -> int:
    classes: Any = getattr(part, "classes_", None)
    return len(classes) if hasattr(classes, "__len__") else 1


def memory_order(estimator: Any) -> Literal["C", "F"]:
    """Return how an estimator wants its matrix to lie in memory.

    Column after column (F), as a pandas frame has it and as sums and products must have it to come to the same bits. A
    forest only compares values, and goes over a row for each of its trees: it takes a sixth less time where rows lie
    together (C; 200 trees, 40 columns, `python -m benchmarks.suite --workload W4`).
    """
    if full_name(estimator) not in _FORESTS:
        return "F"
    return "C" if len(getattr(estimator, "estimators_", ())) >= _MANY_TREES else "F"


def write_in_place(estimator: Any) -> None:
    """Have the steps of a pipeline change the matrix that they are given, which nobody else has.

    Only for an estimator that gets a matrix of its own for each call. The steps of a `ColumnTransformer` share one.
    `SPARK_INFER_WRITE_IN_PLACE=0` in a worker's environment leaves the steps as they are, to measure what that saves.
    """
    if full_name(estimator) != "sklearn.pipeline.Pipeline" or os.environ.get("SPARK_INFER_WRITE_IN_PLACE") == "0":
        return
    estimator.steps = [*((name, _in_place(step)) for name, step in estimator.steps[:-1]), estimator.steps[-1]]


def _in_place(step: Any) -> Any:
    """A step of its own, for the same object may stand in a branch of the model, too."""
    if full_name(step) not in _IN_PLACE:
        return step
    own = copy.copy(step)
    own.copy = False
    return own


def full_name(part: Any) -> str:
    """The name of an object's class, its module in front."""
    return f"{type(part).__module__}.{type(part).__qualname__}"
