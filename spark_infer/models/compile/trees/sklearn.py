"""The trees of scikit-learn's own ensembles, from their fitted attributes.

What they do with them is in `predict` of `sklearn.ensemble` and `sklearn.tree` (https://scikit-learn.org/stable/).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from spark_infer.models.compile.trees.ensemble import Ensemble, Link, Tree, refuse

_FORESTS = {"RandomForestClassifier", "RandomForestRegressor", "ExtraTreesClassifier", "ExtraTreesRegressor"}
_SINGLE = {"DecisionTreeClassifier", "DecisionTreeRegressor", "ExtraTreeClassifier", "ExtraTreeRegressor"}
_BOOSTED = {"GradientBoostingClassifier", "GradientBoostingRegressor"}
_HISTOGRAMS = {"HistGradientBoostingClassifier", "HistGradientBoostingRegressor"}


def read(model: Any) -> Ensemble | None:
    """Read the trees of an estimator; None where it is not an ensemble of trees, or has several labels.

    Raises:
        ModelRefusedError: It splits on categories, or starts from another estimator.
    """
    name = type(model).__name__
    if name in _FORESTS:
        return _averaged(model, model.estimators_)
    if name in _SINGLE:
        return _averaged(model, [model])
    if name in _BOOSTED:
        return _boosted(model)
    return _histograms(model) if name in _HISTOGRAMS else None


def _averaged(model: Any, members: list[Any]) -> Ensemble | None:
    classes = getattr(model, "classes_", None)
    if classes is not None and (model.n_outputs_ > 1 or len(classes) < 2):
        return None
    if classes is None:
        trees = [_tree(each.tree_, each.tree_.value[:, :, 0]) for each in members]
    else:
        # One sum will do for two classes: that of the second.
        first = 1 if len(classes) == 2 else 0
        trees = [_tree(each.tree_, each.tree_.value[:, 0, first:]) for each in members]
    sums = trees[0].value.shape[1]
    return Ensemble(
        trees=trees,
        width=model.n_features_in_,
        base=np.zeros(sums),
        divisor=float(len(members)),
        single=True,
        classes=classes,
    )


def _boosted(model: Any) -> Ensemble:
    if type(model.init_).__name__ not in ("DummyClassifier", "DummyRegressor", "str"):
        refuse("scikit-learn", "its boosting starts from an estimator of the user's own")
    classes = getattr(model, "classes_", None)
    links: dict[str, Link] = {"HalfBinomialLoss": "sigmoid", "ExponentialLoss": "sigmoid"}
    links["HalfMultinomialLoss"] = "softmax"
    link = "identity" if classes is None else links.get(type(model._loss).__name__)
    if link is None:
        refuse("scikit-learn", f"its loss {type(model._loss).__name__} is not known here")
    trees = [
        _tree(each.tree_, each.tree_.value[:, 0, :] * model.learning_rate, target)
        for stage in model.estimators_
        for target, each in enumerate(stage)
    ]
    start = np.asarray(model._raw_predict_init(np.zeros((1, model.n_features_in_), np.float32)), np.float64)
    return Ensemble(
        trees=trees,
        width=model.n_features_in_,
        base=start[0],
        single=True,
        link=link,
        # Exponential loss knows twice the log-odds.
        scale=2.0 if type(model._loss).__name__ == "ExponentialLoss" else 1.0,
        classes=classes,
        above="zero_or_more",
    )


def _histograms(model: Any) -> Ensemble:
    if model.is_categorical_ is not None:
        refuse("scikit-learn", "it splits on categories")
    classes = getattr(model, "classes_", None)
    link: Link = "identity"
    if classes is not None:
        link = "sigmoid" if len(classes) == 2 else "softmax"
    elif model.loss in ("poisson", "gamma"):
        link = "exp"
    return Ensemble(
        trees=[_histogram(each.nodes, target) for stage in model._predictors for target, each in enumerate(stage)],
        width=model.n_features_in_,
        base=np.asarray(model._baseline_prediction, np.float64).reshape(-1),
        link=link,
        classes=classes,
        above="zero",
    )


def _tree(tree: Any, value: npt.NDArray[np.float64], target: int = 0) -> Tree:
    nan_left = getattr(tree, "missing_go_to_left", None)
    return Tree(
        feature=np.maximum(tree.feature, 0).astype(np.int64),
        threshold=tree.threshold.astype(np.float64),
        left=tree.children_left.astype(np.int64),
        right=tree.children_right.astype(np.int64),
        nan_left=np.zeros(len(value), bool) if nan_left is None else nan_left.astype(bool),
        value=value,
        target=target,
    )


def _histogram(nodes: Any, target: int) -> Tree:
    leaf = nodes["is_leaf"].astype(bool)
    return Tree(
        feature=nodes["feature_idx"].astype(np.int64),
        threshold=nodes["num_threshold"].astype(np.float64),
        left=np.where(leaf, -1, nodes["left"].astype(np.int64)),
        right=np.where(leaf, -1, nodes["right"].astype(np.int64)),
        nan_left=nodes["missing_go_to_left"].astype(bool),
        value=nodes["value"].astype(np.float64)[:, None],
        target=target,
    )
