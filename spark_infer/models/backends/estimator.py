"""What models with scikit-learn's API share, whichever framework they come from: files, methods, names of columns."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from spark_infer.core.outputs import Predictions
from spark_infer.core.prediction_columns import ONLY_OUTPUT
from spark_infer.core.signature import SCALARS
from spark_infer.errors import ModelLoadError, ModelRefusedError, PredictionShapeError, nearest
from spark_infer.models.accelerate.skops import load_skops
from spark_infer.models.backends.pickled import require_unpickling

Ask = Callable[[Any, Sequence[str], Callable[[], Any]], dict[str, Any]]
"""Asks an estimator for several methods, and is given what makes the inputs of each."""

METHODS = ("predict", "predict_proba", "predict_log_proba", "predict_joint_log_proba", "decision_function")
_PREFIX = {
    "predict_proba": "probability",
    "predict_log_proba": "log_probability",
    "predict_joint_log_proba": "joint_log_probability",
    "decision_function": "decision",
}


def read_estimator(
    path: Path, serialization_format: str, trusted: Sequence[str] | None = None, *, accelerate: bool = True
) -> Any:
    """Read an estimator that MLflow saved as skops, cloudpickle or pickle.

    Args:
        path: The file.
        serialization_format: As the flavor says.
        trusted: Types that skops may make, as the flavor lists them.
        accelerate: Whether skops may be imported in a faster way.

    Raises:
        ModelLoadError: The format is unknown, or unpickling is switched off.
    """
    require_unpickling()
    match serialization_format:
        case "skops":
            return load_skops(path, trusted, accelerate=accelerate)
        case "cloudpickle":
            import cloudpickle

            return cloudpickle.loads(path.read_bytes())
        case "pickle":
            return pickle.loads(path.read_bytes())
        case other:
            raise ModelLoadError(f"The model is saved as {other!r}, a format this version does not know.")


def check_methods(estimator: Any, methods: Sequence[str]) -> None:
    """Refuse methods that an estimator does not have.

    Raises:
        ModelRefusedError: One is missing; says which there are.
    """
    offered = [name for name in METHODS if hasattr(estimator, name)]
    for method in methods:
        if method not in offered:
            raise ModelRefusedError(
                f"{type(estimator).__name__} has no method {method!r}{nearest(method, offered)}.",
                details=[f"it has {offered}"],
            )


def output_fields(
    estimator: Any, methods: Sequence[str], of_predict: Callable[[], pa.DataType | None]
) -> pa.Schema | None:
    """Return the columns of the methods asked for; None where nothing can say what predict returns.

    Args:
        estimator: The fitted estimator.
        methods: What will be called.
        of_predict: Finds the type of what ``predict`` returns.

    Raises:
        ModelRefusedError: A method gives something else than a score for each class.
    """
    fields: list[pa.Field] = []
    for method in methods:
        if method != "predict":
            _refuse_others_than_classes(_last(estimator), method)
            fields += [pa.field(name, SCALARS["double"]) for name in score_names(estimator, method)]
            continue
        found = of_predict()
        if found is None:
            return None
        fields.append(pa.field(ONLY_OUTPUT, found))
    return pa.schema(fields)


def score_names(estimator: Any, method: str) -> list[str]:
    """Name the columns of a method that gives a score for each class.

    Raises:
        ModelRefusedError: The estimator has no list of classes.
    """
    classes = getattr(estimator, "classes_", None)
    if not isinstance(classes, np.ndarray):
        raise ModelRefusedError(
            f"The columns of {method!r} have no names: {type(estimator).__name__} has no list of classes.",
            next_step="log the model with pyfunc_predict_fn and a signature, and leave predict_method out.",
        )
    prefix = _PREFIX[method]
    binary = method == "decision_function" and len(classes) == 2
    return [prefix] if binary else [f"{prefix}_{label}" for label in classes.tolist()]


def _last(estimator: Any) -> Any:
    while hasattr(estimator, "steps"):
        estimator = estimator.steps[-1][1]
    return estimator


def _refuse_others_than_classes(estimator: Any, method: str) -> None:
    reason = None
    pairs = method == "decision_function" and getattr(estimator, "decision_function_shape", None) == "ovo"
    if pairs and len(estimator.classes_) > 2:
        reason = "it compares each pair of classes"
    elif method == "predict_proba" and callable(getattr(estimator, "objective", None)):
        reason = "with an objective of the user's own it returns raw scores"
    elif hasattr(estimator, "get_booster"):
        learner = json.loads(estimator.get_booster().save_config())["learner"]
        if int(learner["learner_model_param"].get("num_target", 1)) > 1:
            reason = "it has several labels"
    if reason is not None:
        raise ModelRefusedError(
            f"The columns of {method!r} are not the model's classes: {reason}.",
            next_step="log the model with pyfunc_predict_fn and a signature, and leave predict_method out.",
        )


def dense(result: Any) -> Any:
    """Fill in the zeros of a sparse matrix, which multilabel classifiers return."""
    return result.toarray() if hasattr(result, "toarray") else result


def call_each(estimator: Any, methods: Sequence[str], give: Callable[[], Any]) -> dict[str, Any]:
    """Return what each method answers, in the order asked for."""
    return {method: dense(getattr(estimator, method)(give())) for method in methods}


def call_methods(
    estimator: Any, methods: Sequence[str], give: Callable[[], Any], *, by_signature: bool, ask: Ask = call_each
) -> Predictions:
    """Ask for each method; outputs are named unless the signature names them.

    Args:
        estimator: The fitted estimator.
        methods: What to ask for.
        give: Makes the inputs, again for each method: a step may write into what it is given.
        by_signature: Whether the signature names the outputs.
        ask: Calls the methods.

    Raises:
        PredictionShapeError: A method does not return one column for each class.
    """
    if by_signature:
        return {None: dense(getattr(estimator, methods[0])(give()))}
    columns: dict[str | None, Any] = {}
    for method, result in ask(estimator, methods, give).items():
        if method == "predict":
            columns[ONLY_OUTPUT] = result
            continue
        names, scores = score_names(estimator, method), np.atleast_2d(np.asarray(result).T)
        if len(names) != len(scores):
            raise PredictionShapeError(
                f"{method} returned {len(scores)} column(s) for {len(names)} name(s).", details=[f"they are {names}"]
            )
        columns |= dict(zip(names, scores, strict=True))
    return columns
