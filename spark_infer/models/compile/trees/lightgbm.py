"""The trees of a LightGBM booster or estimator, from its JSON dump.

The format is that of `Booster.dump_model`; what a node does with a value is in `NumericalDecision` of
https://github.com/microsoft/LightGBM/blob/master/include/LightGBM/tree.h, and which values are zero in `meta.h` there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from spark_infer.models.compile.trees.ensemble import Ensemble, Link, Tree, refuse

_NAME = "LightGBM"
_INFINITE = 1e300
_ZERO = float(np.float32(1e-35))
_IDENTITY = {
    *("regression", "regression_l1", "huber", "fair", "quantile", "mape", "lambdarank", "rank_xendcg", "custom"),
}
_LINKS: Mapping[str, Link] = {
    **dict.fromkeys(("poisson", "gamma", "tweedie"), "exp"),
    **dict.fromkeys(("binary", "cross_entropy", "multiclassova"), "sigmoid"),
    "multiclass": "softmax",
}


def read(model: Any) -> Ensemble:
    """Read the trees that its own predict would use.

    Raises:
        ModelRefusedError: It splits on categories, on zero as a missing value, or has models in its leaves.
    """
    booster = getattr(model, "booster_", model)
    dump = booster.dump_model()
    if _linear(booster):
        refuse(_NAME, "its leaves hold linear models")
    targets = dump["num_tree_per_iteration"]
    name, *settings = dump.get("objective", "custom").split()
    trees = [_tree(each["tree_structure"], number % targets) for number, each in enumerate(dump["tree_info"])]
    return Ensemble(
        trees=trees,
        width=dump["max_feature_idx"] + 1,
        base=np.zeros(targets),
        divisor=len(trees) / targets if dump["average_output"] and trees else 1.0,
        link=_link(name, settings),
        scale=float(dict(each.partition(":")[::2] for each in settings).get("sigmoid", 1.0)),
        classes=_classes(model),
    )


def _linear(booster: Any) -> bool:
    return "\nis_linear=1" in booster.model_to_string()


def _classes(model: Any) -> Any:
    classes = getattr(model, "classes_", None)
    if classes is not None and callable(getattr(model, "objective", None)):
        refuse(_NAME, "an objective of the user's own returns raw scores")
    return classes


def _link(name: str, settings: list[str]) -> Link:
    if name in _LINKS:
        return _LINKS[name]
    if name not in _IDENTITY:
        refuse(_NAME, f"its objective {name!r} is not known here")
    return "signed_square" if "sqrt" in settings else "identity"


def _tree(root: Mapping[str, Any], target: int) -> Tree:
    nodes: list[Mapping[str, Any]] = [root]
    left, right = [], []
    for node in nodes:  # grows as it goes
        inner = "left_child" in node
        left.append(len(nodes) if inner else -1)
        right.append(len(nodes) + 1 if inner else -1)
        if inner:
            nodes += [node["left_child"], node["right_child"]]
    return Tree(
        feature=np.array([node.get("split_feature", 0) for node in nodes], np.int64),
        threshold=np.array([_threshold(node) for node in nodes]),
        left=np.array(left, np.int64),
        right=np.array(right, np.int64),
        nan_left=np.array([_nan_left(node) for node in nodes]),
        value=np.array([[node.get("leaf_value", 0.0)] for node in nodes], np.float64),
        target=target,
    )


def _threshold(node: Mapping[str, Any]) -> float:
    if node.get("decision_type", "<=") != "<=":
        refuse(_NAME, "it splits on categories")
    threshold = float(node.get("threshold", 0.0))
    return math.inf if threshold >= _INFINITE else compared(threshold)  # how the dump writes the infinite one


def compared(threshold: float) -> float:
    """Return the threshold that parts values as LightGBM does, to which all as small as 1e-35 are zero."""
    if abs(threshold) > _ZERO:
        return threshold
    return _ZERO if threshold >= 0 else float(np.nextafter(-_ZERO, -np.inf))


def _nan_left(node: Mapping[str, Any]) -> bool:
    match node.get("missing_type", "None"):
        case "NaN":
            return bool(node["default_left"])
        case "None":  # a missing value counts as zero
            return float(node.get("threshold", 0.0)) >= 0.0
        case _:
            refuse(_NAME, "it takes zeros for missing values")
