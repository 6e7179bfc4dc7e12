"""Several methods of one estimator for the price of one, where that gives the same answers to the last bit."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

_LABEL = Callable[[npt.NDArray[Any]], npt.NDArray[Any]]
_BEST_CLASS = ("sklearn.ensemble._forest.ForestClassifier", "lightgbm.sklearn.LGBMClassifier")
"""Classifiers whose ``predict`` calls ``predict_proba`` and takes the class with the largest probability."""
_XGBOOST = "xgboost.sklearn.XGBClassifier"


def call_together(estimator: Any, methods: Sequence[str], give: Callable[[], Any]) -> dict[str, Any]:
    """Return what each method answers, in the order asked for.

    The steps of a pipeline run once for all methods, and a label that the estimator would take from its probabilities
    is taken from those that are there.

    Args:
        estimator: The fitted estimator.
        methods: What to ask for.
        give: Makes the inputs, again for each call: a step may write into what it is given.
    """
    if len(methods) > 1 and _is(estimator, "sklearn.pipeline.Pipeline") and len(estimator.steps) > 1:
        made = give()
        for _, step in estimator.steps[:-1]:
            made = made if step is None or isinstance(step, str) else step.transform(made)
        # Its own copy for each method, in the same memory layout.
        return call_together(estimator.steps[-1][1], methods, lambda: copy.deepcopy(made))
    label = label_of(estimator) if {"predict", "predict_proba"} <= set(methods) else None
    if label is None:
        return {method: dense(getattr(estimator, method)(give())) for method in methods}
    called = [method for method in methods if method != "predict"]
    answers = call_together(estimator, called, give)
    answers["predict"] = label(answers["predict_proba"])
    return {method: answers[method] for method in methods}


def label_of(estimator: Any) -> _LABEL | None:
    """Return how an estimator finds its label in its probabilities; None where it does not, or nobody knows."""
    owner = _owner(estimator, "predict")
    if owner != _owner(estimator, "predict_proba"):
        return None
    if owner in _BEST_CLASS and isinstance(estimator.classes_, np.ndarray):
        # LightGBM returns bare scores for an objective of the user's own.
        custom = callable(getattr(estimator, "_objective", None))
        return None if custom else lambda scores: estimator.classes_.take(np.argmax(scores, axis=1), axis=0)
    if owner == _XGBOOST and estimator.objective == "multi:softprob" and estimator.n_classes_ > 2:
        return lambda scores: np.argmax(scores, axis=1)
    if owner == _XGBOOST and estimator.objective == "binary:logistic" and estimator.n_classes_ == 2:
        return lambda scores: (scores[:, 1] > 0.5).astype(np.int64)
    return None


def _owner(estimator: Any, method: str) -> str:
    """The class that a method of an estimator comes from; empty where the instance has one of its own."""
    if method in vars(estimator):
        return ""
    for each in type(estimator).__mro__:
        if method in vars(each):
            return f"{each.__module__}.{each.__qualname__}"
    return ""


def _is(estimator: Any, name: str) -> bool:
    return f"{type(estimator).__module__}.{type(estimator).__qualname__}" == name


def dense(result: Any) -> Any:
    """Fill in the zeros of a sparse matrix, which multilabel classifiers return."""
    return result.toarray() if hasattr(result, "toarray") else result
