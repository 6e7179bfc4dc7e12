"""scikit-learn models without MLflow in the worker, and without pandas where that gives the same answers."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from spark_infer.core.binding import Binding
from spark_infer.core.convert import matrix, own, tensor
from spark_infer.core.outputs import Predictions
from spark_infer.core.signature import SCALARS
from spark_infer.models.backends.columns import ColumnSteps, UnusualValuesError, by_column
from spark_infer.models.backends.encoders import EncodedBranch, encode_by_value
from spark_infer.models.backends.estimator import call_methods, check_methods, output_fields, read_estimator
from spark_infer.models.backends.faster import batch_rows, memory_order, write_in_place
from spark_infer.models.backends.spec import LoadSpec
from spark_infer.models.backends.treeblocks import in_blocks

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator
    from sklearn.compose import ColumnTransformer

    from spark_infer.config import ScoreOptions
    from spark_infer.models.mlmodel import MLModel

CPU_ONLY = True


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
    estimator: BaseEstimator = read_estimator(path, saved_as, flavor.get("skops_trusted_types"))
    _limit_jobs(estimator, spec.threads)
    return SklearnModel(estimator, spec)


def _limit_jobs(estimator: BaseEstimator, threads: int) -> None:
    # joblib takes n_jobs=-1 as all cores of the node, though Spark runs other tasks there.
    for part in parts(estimator):
        if getattr(part, "n_jobs", None) is not None:
            part.n_jobs = threads


class SklearnModel:
    """An estimator fed with one numpy matrix, or with a frame where it selects columns by name."""

    def __init__(self, estimator: BaseEstimator, spec: LoadSpec) -> None:
        self._estimator: BaseEstimator | None = estimator
        self._methods = spec.methods
        self._by_signature = spec.by_signature
        self._binding = spec.binding
        check_methods(estimator, spec.methods)
        self._frame_reason = _needs_frame(estimator, spec.binding)
        self.by_row = all(map(_is_by_row, parts(estimator)))
        self._encoded = [] if self._frame_reason is None else _encoded(estimator, spec.binding)
        # A frame of text holds a Python object for each value, which larger batches would only make more of.
        self.batch_rows = None if _holds_objects(spec.binding, self._encoded) else batch_rows(parts(estimator))
        if self._frame_reason is None and not spec.binding.tensors:
            write_in_place(estimator)
        for part in parts(estimator):
            if type(part).__module__ == "lightgbm.sklearn" and getattr(part, "fitted_", False):
                in_blocks(part.booster_)
        self._columns = _by_column(estimator, spec.binding) if self._frame_reason is None else None
        if self._frame_reason is None:
            # The frame's column names were checked against the estimator's once, in _needs_frame.
            warnings.filterwarnings("ignore", message="X does not have valid feature names")

    @property
    def framework_model(self) -> BaseEstimator | None:
        """The estimator as it was saved; where its text is encoded by value, a copy without that."""
        return copy.deepcopy(self._estimator) if self._encoded else self._estimator

    @property
    def how(self) -> str:
        """How batches reach the estimator, for the plan."""
        if self._frame_reason is None:
            return "one numpy matrix for each batch, no pandas"
        by_value = "; its text is encoded once for each distinct value" if self._encoded else ""
        return f"a pandas frame for each batch: {self._frame_reason}{by_value}"

    def outputs(self) -> pa.Schema | None:
        """Columns of the methods asked for; None where only the signature can say what predict returns."""
        return output_fields(self._estimator, self._methods, self._prediction_type)

    def _prediction_type(self) -> pa.DataType | None:
        from sklearn.base import is_classifier, is_regressor

        classes = getattr(self._estimator, "classes_", None)
        if is_classifier(self._estimator) and isinstance(classes, np.ndarray):
            return pa.array(classes.tolist()).type
        if is_regressor(self._estimator) and getattr(self._estimator, "n_outputs_", 1) == 1:
            return SCALARS["double"]
        return None

    def predict(self, inputs: pa.RecordBatch) -> Predictions:
        """Call each method once; outputs are named unless the signature names them."""
        if self._columns is not None:
            try:
                return self._by_column(inputs, self._columns)
            except UnusualValuesError:
                pass  # the steps themselves say what is wrong
        give = partial(self._given, inputs)
        return call_methods(self._estimator, self._methods, give, by_signature=self._by_signature)

    def _by_column(self, inputs: pa.RecordBatch, columns: ColumnSteps) -> Predictions:
        made = columns.apply(matrix(inputs.columns, inputs.schema.names, np.dtype(np.float64), order="F"))
        made = np.asarray(made, order=memory_order(columns.rest))
        # A step that is left may write into what it is given.
        give = partial(made.copy, order="K") if len(self._methods) > 1 else lambda: made
        return call_methods(columns.rest, self._methods, give, by_signature=self._by_signature)

    def _given(self, inputs: pa.RecordBatch) -> Any:
        if self._frame_reason is not None:
            from spark_infer.models.backends.frame import to_frame, to_model_input

            if self._encoded:
                numbers = [branch.numbers(inputs) for branch in self._encoded]
                return to_frame(inputs, {name: each for part in numbers for name, each in part.items()})
            return to_model_input(inputs, self._binding)
        if self._binding.tensors:
            # A step with copy=False changes what it is given, and this may be a column of Spark's.
            return own(tensor(inputs, self._binding.tensors[0]))
        dtype = np.result_type(*(field.type.to_pandas_dtype() for field in inputs.schema))
        return matrix(inputs.columns, inputs.schema.names, dtype, order=memory_order(self._estimator))

    def close(self) -> None:
        """Let go of the estimator."""
        self._estimator = self._columns = None


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


def _by_column(estimator: BaseEstimator, binding: Binding) -> ColumnSteps | None:
    """What the first steps do to columns, where the matrix is one of doubles."""
    from sklearn import get_config

    if binding.tensors or binding.is_open:
        return None
    types = [column.type.to_pandas_dtype() for column in binding.columns]
    if np.result_type(*types) != np.float64 or get_config()["enable_metadata_routing"]:
        return None
    return by_column(estimator, len(types))


def _encoded(estimator: BaseEstimator, binding: Binding) -> list[EncodedBranch]:
    """Have text encoded by distinct values where the estimator's own branches can be asked for that."""
    from sklearn import get_config

    if binding.tensors or get_config()["transform_output"] != "default" or get_config()["enable_metadata_routing"]:
        return []
    from spark_infer.models.backends.frame import to_frame

    texts = {column.target for column in binding.columns if column.source and column.type == pa.string()}
    return encode_by_value(estimator, texts, to_frame)


def _holds_objects(binding: Binding, encoded: Sequence[EncodedBranch]) -> bool:
    """Whether some column reaches the estimator as Python objects."""
    numbered = {name for branch in encoded for name in branch.columns}
    return any(
        column.target not in numbered
        and not (
            pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_boolean(column.type)
        )
        for column in binding.columns
    )


def _is_by_row(part: Any) -> bool:
    """Whether what a part makes of a row is known to depend on that row alone."""
    if not type(part).__module__.startswith(("sklearn.", "xgboost.", "lightgbm.")):
        return False
    parameters = part.get_params(deep=False)
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
