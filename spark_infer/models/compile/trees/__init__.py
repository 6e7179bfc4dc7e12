"""Tree ensembles as plain arrays, one reader for each framework; none of them is imported."""

from __future__ import annotations

from typing import Any

from spark_infer.models.compile.trees import lightgbm, sklearn, xgboost
from spark_infer.models.compile.trees.ensemble import Ensemble


def read_trees(model: Any) -> Ensemble | None:
    """Read the trees of a booster or estimator; None where it is not an ensemble of trees that is known here.

    Raises:
        ModelRefusedError: It has trees of a kind that an ONNX graph would not follow exactly.
    """
    kind = type(model).__module__.partition(".")[0]
    if kind == "lightgbm":
        return lightgbm.read(model)
    if kind == "xgboost":
        return xgboost.read(model)
    return sklearn.read(model) if kind == "sklearn" else None
