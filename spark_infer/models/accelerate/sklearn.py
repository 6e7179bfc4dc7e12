"""scikit-learn estimators fed and asked in ways that are faster, and come to the same bits."""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from spark_infer.core.convert import numpy_dtype
from spark_infer.models.accelerate import lightgbm, together
from spark_infer.models.accelerate.accelerated import Fast, unchecked
from spark_infer.models.accelerate.columns import ColumnSteps, by_column
from spark_infer.models.accelerate.encoders import EncodedBranch, encode_by_value
from spark_infer.models.accelerate.together import predicting, shares
from spark_infer.models.backends.native.sklearn import batch_rows, parts

if TYPE_CHECKING:
    from spark_infer.core.binding import Binding
    from spark_infer.models.backends.native.sklearn import SklearnModel
    from spark_infer.models.backends.spec import LoadSpec

DISTRIBUTION = "scikit-learn"
CHECKED = ">=1.7,<1.10"


def find_fast(model: SklearnModel, spec: LoadSpec) -> Fast | None:
    """Return a faster way to the answers of an estimator."""
    how, rows = [], None
    boosters = _boosters_in_blocks(model.framework_model)
    estimator, give = with_parts(model.framework_model, boosters), model.given
    if boosters:
        how.append(lightgbm.HOW)
    if model.frame_reason is not None:
        estimator, branches = _encoded(estimator, spec.binding)
        if branches:
            how.append("text is encoded once for each distinct value")
            give = partial(_frame, branches)
            numbered = {name for branch in branches for name in branch.columns}
            rows = batch_rows(model.framework_model, spec.binding, numbered)
    elif not spec.binding.tensors:
        steps = by_column(estimator, len(spec.binding.columns)) if _are_doubles(spec.binding) else None
        if steps is not None:
            how.append("the first steps go over one column after the other")
            estimator, give = steps.rest, partial(_by_column, steps, model.given)
    if shares(estimator, spec.methods):
        how.append(together.HOW)
    if not how:
        return None
    return Fast(
        how=", ".join(how),
        predict=predicting(estimator, give, spec),
        least_rows=lightgbm.LEAST_ROWS if boosters else 1,
        batch_rows=rows,
    )


def with_parts(part: Any, instead: Mapping[int, Any]) -> Any:
    """Return an estimator with others in the place of some of its parts; all that holds none of these is shared.

    Args:
        part: The estimator, or something inside it.
        instead: What replaces a part, by the part's ``id``.
    """
    from sklearn.base import BaseEstimator

    if not instead or id(part) in instead:
        return instead.get(id(part), part)
    if isinstance(part, list | tuple):
        made = [with_parts(each, instead) for each in part]
        return part if all(map(operator.is_, made, part)) else type(part)(made)
    if isinstance(part, dict):
        values = {name: with_parts(each, instead) for name, each in part.items()}
        return part if all(values[name] is part[name] for name in part) else _updated(part, values)
    if isinstance(part, BaseEstimator):
        facts = with_parts(vars(part), instead)
        if facts is not vars(part):
            part = copy.copy(part)
            vars(part).update(facts)
    return part


def _is_fitted_booster(part: Any) -> bool:
    return type(part).__module__ == "lightgbm.sklearn" and getattr(part, "fitted_", False)


def _updated(part: Any, values: dict[Any, Any]) -> Any:
    own = copy.copy(part)  # of its own kind, as scikit-learn's Bunch is
    own.update(values)
    return own


def _by_column(steps: ColumnSteps, give: Callable[[pa.RecordBatch], Any], inputs: pa.RecordBatch) -> Any:
    return steps.apply(give(inputs))


def _are_doubles(binding: Binding) -> bool:
    """Whether a matrix of these columns is one of doubles, and steps of a pipeline get nothing else."""
    from sklearn import get_config

    types = [numpy_dtype(column.type) for column in binding.columns]
    return not binding.is_open and np.result_type(*types) == np.float64 and not get_config()["enable_metadata_routing"]


def _encoded(estimator: Any, binding: Binding) -> tuple[Any, tuple[EncodedBranch, ...]]:
    """Have text encoded by distinct values where the estimator's own branches can be asked for that."""
    from sklearn import get_config

    if binding.tensors or get_config()["transform_output"] != "default" or get_config()["enable_metadata_routing"]:
        return estimator, ()
    from spark_infer.models.backends.frame import to_frame

    texts = {column.target for column in binding.columns if column.source and column.type == pa.string()}
    return encode_by_value(estimator, texts, to_frame)


def _frame(branches: Sequence[EncodedBranch], inputs: pa.RecordBatch) -> Any:
    from spark_infer.models.backends.frame import to_frame

    return to_frame(inputs, {name: each for branch in branches for name, each in branch.numbers(inputs).items()})


def _boosters_in_blocks(estimator: Any) -> dict[int, Any]:
    """The LightGBM estimators inside an estimator that have faster ones, which are returned by their ``id``."""
    if unchecked(lightgbm.DISTRIBUTION, lightgbm.CHECKED) is not None:
        return {}
    fitted = [part for part in parts(estimator) if _is_fitted_booster(part)]
    faster = {id(part): lightgbm.estimator_in_blocks(part) for part in fitted}
    return {id(part): faster[id(part)] for part in fitted if faster[id(part)] is not part}
