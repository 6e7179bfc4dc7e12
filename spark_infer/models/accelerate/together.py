"""Several methods of one estimator for the price of one, where that gives the same answers to the last bit."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spark_infer.core.outputs import Predictions
from spark_infer.models.accelerate.accelerated import full_name
from spark_infer.models.backends.estimator import call_each, call_methods
from spark_infer.models.backends.spec import LoadSpec

_LABEL = Callable[[npt.NDArray[Any]], npt.NDArray[Any]]
_BEST_CLASS = ("sklearn.ensemble._forest.ForestClassifier", "lightgbm.sklearn.LGBMClassifier")
"""Classifiers whose ``predict`` calls ``predict_proba`` and takes the class with the largest probability."""
_XGBOOST = "xgboost.sklearn.XGBClassifier"
_LABELLED = {"predict", "predict_proba"}

HOW = "what the methods share is computed once"


def shares(estimator: Any, methods: Sequence[str]) -> bool:
    """Whether several methods of an estimator cost less together."""
    if len(methods) < 2:
        return False
    return _has_steps(estimator) or (label_of(estimator) is not None and set(methods) >= _LABELLED)


def predicting(
    estimator: Any, give: Callable[[pa.RecordBatch], Any], spec: LoadSpec
) -> Callable[[pa.RecordBatch], Predictions]:
    """Return what answers a batch by an estimator, all methods together.

    Args:
        estimator: The fitted estimator.
        give: Makes of a batch what the estimator is given.
        spec: The methods, and how their outputs are named.
    """

    def predict(inputs: pa.RecordBatch) -> Predictions:
        made = give(inputs)
        # A step may write into what it is given.
        fresh = partial(copy.deepcopy, made) if len(spec.methods) > 1 else lambda: made
        return call_methods(estimator, spec.methods, fresh, by_signature=spec.by_signature, ask=call_together)

    return predict


def call_together(estimator: Any, methods: Sequence[str], give: Callable[[], Any]) -> dict[str, Any]:
    """Return what each method answers, in the order asked for.

    The steps of a pipeline run once for all methods, and a label that the estimator would take from its probabilities
    is taken from those that are there.

    Args:
        estimator: The fitted estimator.
        methods: What to ask for.
        give: Makes the inputs, again for each call: a step may write into what it is given.
    """
    if len(methods) > 1 and _has_steps(estimator):
        made = give()
        for _, step in estimator.steps[:-1]:
            made = made if step is None or isinstance(step, str) else step.transform(made)
        # Its own copy for each method, in the same memory layout.
        return call_together(estimator.steps[-1][1], methods, lambda: copy.deepcopy(made))
    label = label_of(estimator) if set(methods) >= _LABELLED else None
    if label is None:
        return call_each(estimator, methods, give)
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


def _has_steps(estimator: Any) -> bool:
    return full_name(estimator) == "sklearn.pipeline.Pipeline" and len(estimator.steps) > 1


def _owner(estimator: Any, method: str) -> str:
    """The class that a method of an estimator comes from; empty where the instance has one of its own."""
    if method in vars(estimator):
        return ""
    for each in type(estimator).__mro__:
        if method in vars(each):
            return f"{each.__module__}.{each.__qualname__}"
    return ""
