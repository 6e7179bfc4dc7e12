"""The trees of an XGBoost booster or estimator, from its JSON model.

The format is https://xgboost.readthedocs.io/en/stable/tutorials/saving_model.html.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from spark_infer.models.compile.trees.ensemble import Ensemble, Link, Tree, refuse

_NAME = "XGBoost"
_LINKS: Mapping[str, Link] = {
    **dict.fromkeys(("binary:logistic", "reg:logistic"), "sigmoid"),
    **dict.fromkeys(("count:poisson", "reg:gamma", "reg:tweedie"), "exp"),
    **dict.fromkeys(("rank:ndcg", "rank:map", "rank:pairwise", "binary:logitraw", "reg:squaredlogerror"), "identity"),
    **dict.fromkeys(("reg:squarederror", "reg:absoluteerror", "reg:pseudohubererror"), "identity"),
    "multi:softprob": "softmax",
    "multi:softmax": "argmax",
}


def read(model: Any) -> Ensemble:
    """Read the trees that its own predict would use.

    Raises:
        ModelRefusedError: It is not an ensemble of plain trees, splits on categories, or has an unknown objective.
    """
    booster = model.get_booster() if hasattr(model, "get_booster") else model
    learner = json.loads(_used(booster, estimator=booster is not model).save_raw("json"))["learner"]
    if learner["gradient_booster"]["name"] != "gbtree":
        refuse(_NAME, f"its booster is {learner['gradient_booster']['name']!r}")
    facts, saved = learner["learner_model_param"], learner["gradient_booster"]["model"]
    name = learner["objective"]["name"]
    if int(facts.get("num_target", 1)) > 1:
        refuse(_NAME, "it has several targets")
    if name not in _LINKS:
        refuse(_NAME, f"its objective {name!r} is not known here")
    classes = getattr(model, "classes_", None)
    link = "softmax" if classes is not None and _LINKS[name] == "argmax" else _LINKS[name]
    return Ensemble(
        trees=[_tree(*each) for each in zip(saved["trees"], saved["tree_info"], strict=True)],
        width=int(facts["num_feature"]),
        base=_base(facts, _LINKS[name]),
        single=True,
        strict=True,
        link=link,
        classes=classes,
    )


def _used(booster: Any, *, estimator: bool) -> Any:
    """The booster up to its best iteration, which the estimator's predict stops at and the booster's does not."""
    best = booster.attr("best_iteration")
    return booster[: int(best) + 1] if estimator and best is not None else booster


def _base(facts: Mapping[str, str], link: Link) -> npt.NDArray[np.float64]:
    """What the sums start from: the base score where the link has not been applied yet."""
    score = np.atleast_1d(np.array(json.loads(facts["base_score"]), np.float32)).astype(np.float64)
    if link == "sigmoid":
        score = -np.log(1.0 / score - 1.0)
    elif link == "exp":
        score = np.log(score)
    return np.resize(score, max(1, int(facts["num_class"])))


def _tree(saved: Mapping[str, Any], target: int) -> Tree:
    if any(saved.get("split_type", ())) or saved.get("categories_nodes"):
        refuse(_NAME, "it splits on categories")
    if int(saved["tree_param"].get("size_leaf_vector", 1)) > 1:
        refuse(_NAME, "its leaves hold several values")
    conditions = np.array(saved["split_conditions"], np.float32).astype(np.float64)
    return Tree(
        feature=np.array(saved["split_indices"], np.int64),
        threshold=conditions,
        left=np.array(saved["left_children"], np.int64),
        right=np.array(saved["right_children"], np.int64),
        nan_left=np.array(saved["default_left"], bool),
        value=conditions[:, None],  # XGBoost keeps what a leaf adds where other nodes keep their condition
        target=target,
    )
