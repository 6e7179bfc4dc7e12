"""From an estimator to an ONNX graph: trees by our own nodes, all else by skl2onnx, which is imported here alone."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from spark_infer.core.exception_text import describe_exception
from spark_infer.errors import EnvironmentProblem, ModelRefusedError, SparkInferError, install_extra
from spark_infer.models.backends.compiled import MATRIX
from spark_infer.models.backends.native.sklearn import parts
from spark_infer.models.compile.trees import read_trees

if TYPE_CHECKING:
    from onnx import ModelProto


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What the graph is given.

    Attributes:
        width: Columns of the one matrix.
        dtype: Its type, ``float64`` or ``float32``.
        columns: Name of each column and whether it is text, where an estimator selects columns by name; else empty,
            and the graph takes one matrix.
    """

    width: int
    dtype: str = "float64"
    columns: tuple[tuple[str, bool], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Converted:
    """A graph, and the name of the output for each method."""

    content: bytes
    ports: tuple[str, ...]


_UNLIKE = {
    "Binarizer": "rounds its threshold",
    "Normalizer": "divides by zero where all values of a row are zero",
}


def convert(estimator: Any, methods: Sequence[str], inputs: Inputs, *, flat: bool) -> Converted:
    """Convert a fitted estimator or booster.

    Args:
        estimator: What the framework itself loads.
        methods: ``predict``, ``predict_proba`` or both.
        inputs: What the graph will be given.
        flat: Whether ``predict`` returns one value for each row and not a matrix.

    Raises:
        ModelRefusedError: A part of it has no converter.
        EnvironmentProblem: The converters are not installed.
    """
    lacking = [name for name in ("onnx", "skl2onnx", "onnxruntime") if importlib.util.find_spec(name) is None]
    if lacking:
        raise EnvironmentProblem(
            f"`compile` needs {' and '.join(lacking)}, which the driver's Python does not have.",
            next_step=f"{install_extra('compile')}, or leave `compile` out.",
        )
    fitted = getattr(estimator, "best_estimator_", estimator)
    _refuse_unlike(fitted)
    try:
        model, outputs = _graph(fitted, inputs, flat=flat)
    except SparkInferError:
        raise
    except Exception as error:
        raise ModelRefusedError(
            f"The model cannot be compiled: the converter of {type(estimator).__name__} failed.",
            details=_why(error),
            next_step="leave `compile` out: the model's own library serves it.",
        ) from error
    from spark_infer.models.compile.nodes import keep_outputs

    known = dict(zip(("predict", "predict_proba"), outputs, strict=False))
    missing = [method for method in methods if method not in known]
    if missing:
        raise ModelRefusedError(
            f"The compiled model would not have the method(s) {missing}.",
            details=[f"it has {list(known)}"],
            next_step="leave `compile` out, or ask for these with predict_method.",
        )
    ports = tuple(known[method] for method in methods)
    return Converted(content=keep_outputs(model, ports), ports=ports)


def _refuse_unlike(estimator: Any) -> None:
    """Refuse steps whose graphs are known to answer some plain values otherwise (skl2onnx 1.20)."""
    for part in parts(estimator):
        kind = type(part)
        if not kind.__module__.startswith("sklearn.preprocessing."):
            continue
        why = _UNLIKE.get(kind.__name__, "")
        known = getattr(part, "categories_", ()) if kind.__name__ == "OneHotEncoder" else ()
        if any(np.asarray(each).dtype.kind == "f" for each in known):
            why = "compares categories by their whole part, and these are floating-point numbers"
        if why:
            raise ModelRefusedError(
                f"The model cannot be compiled: the graph of its {kind.__name__} {why}.",
                next_step="leave `compile` out: the model's own library serves it.",
            )


def _graph(estimator: Any, inputs: Inputs, *, flat: bool) -> tuple[ModelProto, list[str]]:
    head, last = _split(estimator)
    trees = read_trees(last)
    if trees is None:
        return _by_skl2onnx(estimator, inputs)
    from spark_infer.models.compile.nodes import append_trees, empty_model

    if head is None:
        model, source = empty_model(MATRIX, inputs.width, inputs.dtype), MATRIX
    else:
        model, (source, *_) = _by_skl2onnx(head, inputs)
    return model, append_trees(model, trees, source=source, flat=flat)


def _split(estimator: Any) -> tuple[Any, Any]:
    """What comes before the last step of a pipeline, and that step."""
    if not hasattr(estimator, "steps"):
        return None, estimator
    before = [step for step in estimator.steps[:-1] if step[1] not in (None, "passthrough")]
    return (type(estimator)(before) if before else None), estimator.steps[-1][1]


def _by_skl2onnx(estimator: Any, inputs: Inputs) -> tuple[ModelProto, list[str]]:
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, StringTensorType

    from spark_infer.models.compile.nodes import OPSETS

    last = estimator
    while hasattr(last, "steps"):
        last = last.steps[-1][1]
    # Doubles wherever the converters let us: most estimators compute in them.
    number = FloatTensorType if inputs.dtype == "float32" else DoubleTensorType
    types = [(name, StringTensorType([None, 1]) if text else number([None, 1])) for name, text in inputs.columns]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = convert_sklearn(
            estimator,
            initial_types=types or [(MATRIX, number([None, inputs.width]))],
            options={id(last): {"zipmap": False}} if hasattr(last, "classes_") else None,
            custom_conversion_functions=_own_converters(estimator),
            target_opset={**OPSETS, "ai.onnx.ml": 3},
        )
    return model, [each.name for each in model.graph.output]


def _own_converters(estimator: Any) -> dict[type, Any]:
    kinds = {type(part) for part in parts(estimator)}
    return {
        kind: _impute
        for kind in kinds
        if kind.__module__.startswith("sklearn.impute.") and kind.__name__ == "SimpleImputer"
    }


def _why(error: Exception) -> tuple[str, ...]:
    """Say why a converter failed; only what skl2onnx says of classes it does not know is sure to quote no value."""
    from skl2onnx.common.exceptions import MissingConverter, MissingShapeCalculator

    if isinstance(error, MissingConverter | MissingShapeCalculator):
        return (str(error).strip().splitlines()[0],)
    return describe_exception(error, show_values=False)[:1]


def _impute(scope: Any, operator: Any, container: Any) -> None:
    """Fill missing doubles, for which the imputer of ONNX-ML has no kernel; text is never missing here."""
    from skl2onnx.common.data_types import DoubleTensorType, StringTensorType
    from skl2onnx.operator_converters.imputer_op import convert_sklearn_imputer
    from skl2onnx.proto import onnx_proto

    def add(kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> None:
        container.add_node(kind, list(inputs), [output], name=scope.get_unique_operator_name(kind), **attributes)

    imputer, types = operator.raw_operator, {type(each.type) for each in operator.inputs}
    by_nan = isinstance(imputer.missing_values, float) and np.isnan(imputer.missing_values)
    if imputer.add_indicator or not (types == {StringTensorType} or (by_nan and types == {DoubleTensorType})):
        convert_sklearn_imputer(scope, operator, container)
        return
    joined, result = scope.get_unique_variable_name("joined"), operator.outputs[0].full_name
    add("Concat", [each.full_name for each in operator.inputs], joined, axis=1)
    if types == {StringTensorType}:
        if not (by_nan or imputer.missing_values is None):
            raise NotImplementedError("a text that stands for a missing one")
        add("Identity", [joined], result)
        return
    fill = np.asarray(imputer.statistics_, np.float64)
    if np.isnan(fill).any():
        raise NotImplementedError("an imputer that drops columns")
    missing, filling = scope.get_unique_variable_name("missing"), scope.get_unique_variable_name("filling")
    container.add_initializer(filling, onnx_proto.TensorProto.DOUBLE, [1, len(fill)], fill)
    add("IsNaN", [joined], missing)
    add("Where", [missing, filling, joined], result)
