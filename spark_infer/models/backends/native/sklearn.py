"""scikit-learn models without MLflow in the worker, and without pandas where that gives the same answers."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from spark_infer.config import DEFAULT_BATCH_SIZE
from spark_infer.core.binding import Binding
from spark_infer.core.convert import matrix, numpy_dtype, own, tensor
from spark_infer.core.outputs import Predictions
from spark_infer.core.signature import SCALARS
from spark_infer.models.backends.estimator import call_methods, check_methods, output_fields, read_estimator
from spark_infer.models.backends.spec import LoadSpec

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator
    from sklearn.compose import ColumnTransformer

    from spark_infer.config import ScoreOptions
    from spark_infer.models.mlmodel import MLModel

CPU_ONLY = True

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


def unfit(mlmodel: MLModel, options: ScoreOptions, folder: Path) -> str | None:
    """Every estimator that MLflow saves can be served: one that needs a pandas frame gets one."""
    return None


def load(spec: LoadSpec, folder: Path) -> SklearnModel:
    """Load an estimator that MLflow saved as skops, cloudpickle or pickle.

    Raises:
        ModelLoadError: The file's format is unknown, or unpickling is switched off.
        ModelRefusedError: The estimator has not the method asked for.
    """
    flavor = spec.mlmodel.flavors["sklearn"]
    path, saved_as = folder / flavor["pickled_model"], flavor.get("serialization_format", "pickle")
    estimator: BaseEstimator = read_estimator(
        path, saved_as, flavor.get("skops_trusted_types"), accelerate=spec.accelerate
    )
    _limit_jobs(estimator, spec.threads)
    return SklearnModel(estimator, spec)


def _limit_jobs(estimator: BaseEstimator, threads: int) -> None:
    # joblib takes n_jobs=-1 as all cores of the node, though Spark runs other tasks there.
    for part in parts(estimator):
        if getattr(part, "n_jobs", None) is not None:
            part.n_jobs = threads


class SklearnModel:
    """An estimator fed with one numpy matrix, or with a frame where it selects columns by name.

    Attributes:
        framework_model: The estimator.
        frame_reason: Why it gets a frame; None where it gets a matrix.
        by_row: Whether its answer for a row is known to depend on that row alone.
        batch_rows: Rows of a batch that it is fastest with; None where that is not known.
    """

    def __init__(self, estimator: BaseEstimator, spec: LoadSpec) -> None:
        self.framework_model: BaseEstimator | None = estimator
        self._methods = spec.methods
        self._by_signature = spec.by_signature
        self._binding = spec.binding
        check_methods(estimator, spec.methods)
        self.frame_reason = _needs_frame(estimator, spec.binding)
        self.by_row = all(map(_is_by_row, parts(estimator)))
        self.batch_rows = batch_rows(estimator, spec.binding)
        if self.frame_reason is None:
            # The frame's column names were checked against the estimator's once, in _needs_frame.
            warnings.filterwarnings("ignore", message="X does not have valid feature names")

    @property
    def how(self) -> str:
        """How batches reach the estimator, for the plan."""
        if self.frame_reason is None:
            return "one numpy matrix for each batch, no pandas"
        return f"a pandas frame for each batch: {self.frame_reason}"

    def outputs(self) -> pa.Schema | None:
        """Columns of the methods asked for; None where only the signature can say what predict returns."""
        return output_fields(self.framework_model, self._methods, self._prediction_type)

    def _prediction_type(self) -> pa.DataType | None:
        from sklearn.base import is_classifier, is_regressor

        classes = getattr(self.framework_model, "classes_", None)
        if is_classifier(self.framework_model) and isinstance(classes, np.ndarray):
            return pa.array(classes.tolist()).type
        if is_regressor(self.framework_model) and getattr(self.framework_model, "n_outputs_", 1) == 1:
            return SCALARS["double"]
        return None

    def predict(self, inputs: pa.RecordBatch) -> Predictions:
        """Call each method once; outputs are named unless the signature names them."""
        give = partial(self.given, inputs)
        return call_methods(self.framework_model, self._methods, give, by_signature=self._by_signature)

    def given(self, inputs: pa.RecordBatch) -> Any:
        """Return what the estimator is given for a batch: a frame, or a matrix of its own, column after column."""
        if self.frame_reason is not None:
            from spark_infer.models.backends.frame import to_model_input

            return to_model_input(inputs, self._binding)
        if self._binding.tensors:
            # A step with copy=False changes what it is given, and this may be a column of Spark's.
            return own(tensor(inputs, self._binding.tensors[0]))
        dtype = np.result_type(*map(numpy_dtype, inputs.schema.types))
        return matrix(inputs.columns, inputs.schema.names, dtype, order="F")

    def close(self) -> None:
        """Let go of the estimator."""
        self.framework_model = None


def _needs_frame(estimator: BaseEstimator, binding: Binding) -> str | None:
    """Say why an estimator must get a pandas frame; None where a numpy matrix gives the same answers."""
    from sklearn.compose import ColumnTransformer
    from sklearn.preprocessing import FunctionTransformer

    if binding.tensors:
        return None if len(binding.tensors) == 1 and binding.tensors[0].name is None else "it takes named tensors"
    for column in binding.columns:
        if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
            return f"column {column.target!r} is not a number"
    if len({column.type for column in binding.columns}) > 1:
        for column in binding.columns:
            if column.type in (pa.int64(), pa.uint64()):
                return f"column {column.target!r} is long beside other types, and one matrix of doubles would round it"
    fitted_on = getattr(estimator, "feature_names_in_", None)
    if fitted_on is not None and list(fitted_on) != [column.target for column in binding.columns]:
        return "it was fitted on other columns, or in another order, than its signature says"
    for part in parts(estimator):
        name = type(part).__name__
        if not type(part).__module__.startswith("sklearn."):
            return f"{name} is not one of scikit-learn's own estimators"
        if isinstance(part, FunctionTransformer):
            return "a FunctionTransformer may use column names"
        if isinstance(part, ColumnTransformer) and not by_position(part):
            return "a ColumnTransformer selects columns by name"
        if getattr(part, "_sklearn_output_config", None):
            return f"{name} is set to return frames"
    return None


def batch_rows(estimator: Any, binding: Binding, numbered: Collection[str] = ()) -> int | None:
    """Return how many rows to hand to an estimator at a time; None where nothing speaks for other than the usual.

    Each call of a pipeline costs about a millisecond before it looks at a row; what batches of 10,000 rows cost more,
    `python -m benchmarks.suite --ablations --workload W1` shows. A column of text is a Python object for each value,
    which larger batches would only make more of.

    Args:
        estimator: The estimator.
        binding: Its columns.
        numbered: Columns of text that reach it as numbers.
    """
    if any(column.target not in numbered and not _is_number(column.type) for column in binding.columns):
        return None
    width = 1
    for part in parts(estimator):
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


def _is_number(type_: pa.DataType) -> bool:
    return bool(pa.types.is_integer(type_) or pa.types.is_floating(type_) or pa.types.is_boolean(type_))


def _is_by_row(part: Any) -> bool:
    """Whether what a part makes of a row is known to depend on that row alone."""
    if not type(part).__module__.startswith(("sklearn.", "xgboost.", "lightgbm.")):
        return False
    try:
        parameters = part.get_params(deep=False)
    except AttributeError:  # pickled by an older version, which had fewer parameters
        return False
    functions = (each for each in parameters.values() if callable(each) and not isinstance(each, type))
    return not any(functions) and not parameters.get("sample_posterior")


def by_position(transformer: ColumnTransformer) -> bool:
    """Whether it selects its columns by their positions alone."""
    selections = [columns for _, _, columns in transformer.transformers]
    return all(
        isinstance(each, int) or (isinstance(each, list) and all(isinstance(i, int) for i in each))
        for each in selections
    )


def parts(estimator: Any) -> Iterator[Any]:
    """Walk an estimator and everything fitted inside it."""
    from sklearn.base import BaseEstimator

    seen: set[int] = set()
    todo = [estimator]
    while todo:
        part = todo.pop()
        if isinstance(part, list | tuple):
            todo.extend(part)
        elif isinstance(part, dict):
            todo.extend(part.values())
        elif isinstance(part, BaseEstimator) and id(part) not in seen:
            seen.add(id(part))
            yield part
            todo.extend(vars(part).values())
