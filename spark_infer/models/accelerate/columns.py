"""The first steps of a scikit-learn pipeline done by column, each while it lies in the cache, to the same bits."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise, takewhile
from typing import Any

import numpy as np
import numpy.typing as npt

from spark_infer.models.accelerate.accelerated import full_name

Column = npt.NDArray[np.float64]
Change = Callable[[Column, int], None]
"""Changes the column of a number in place."""


class UnusualValuesError(Exception):
    """The pipeline's own steps refuse the values."""


@dataclass(frozen=True)
class ColumnSteps:
    """An imputer and scalers that go over one column after the other, and the pipeline that is left without them.

    scikit-learn goes over the whole matrix for each step, and several times to check it: 135 ns a row for an imputer, a
    scaler and a logistic regression on 30 columns, against 47 (`python -m benchmarks.suite --ablations --workload W1`
    has the whole job).

    Attributes:
        changes: What is done to each column.
        rest: The other steps.
    """

    changes: tuple[Change, ...]
    rest: Any

    def apply(self, matrix: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Change a matrix, column by column, and return it.

        Args:
            matrix: Of doubles, (rows, columns) in Fortran order; nobody else's.

        Raises:
            UnusualValuesError: The steps refuse it, infinite values for example; a part of it is changed.
        """
        with np.errstate(all="ignore"):
            for number in range(matrix.shape[1]):
                column = matrix[:, number]
                for change in self.changes:
                    change(column, number)
        return matrix


def by_column(pipeline: Any, width: int) -> ColumnSteps | None:
    """Return what a pipeline's first steps do to a column of doubles; None where they are not known to do that alone.

    Args:
        pipeline: The estimator.
        width: Columns of the matrix that it will be given.
    """
    if full_name(pipeline) != "sklearn.pipeline.Pipeline":
        return None
    known = list(takewhile(bool, (_changes(step, width) for _, step in pipeline.steps[:-1])))
    if not known:
        return None
    changes = list(chain.from_iterable(known))
    needed = [changes[0]]
    for before, each in pairwise(changes):
        if not (isinstance(before, _Fill) and each is _refuse_infinite):  # what was filled is finite
            needed.append(each)
    return ColumnSteps(tuple(needed), _without(pipeline, len(known)))


def _without(pipeline: Any, count: int) -> Any:
    """The steps after the first ones; the estimator itself where it is alone."""
    steps = pipeline.steps[count:]
    if len(steps) == 1:
        return steps[0][1]
    rest = copy.copy(pipeline)
    rest.steps = steps
    return rest


def _changes(step: Any, width: int) -> Sequence[Change]:
    """What a step does to a column; empty where that is not known."""
    reader, facts = _READERS.get(full_name(step)), getattr(step, "__dict__", {})
    if reader is None or facts.get("n_features_in_") != width or "transform" in facts:
        return ()
    return reader(facts)


def _imputer(facts: dict[str, Any]) -> Sequence[Change]:
    missing, values = facts.get("missing_values"), facts.get("statistics_")
    if isinstance(values, np.ndarray) and all(isinstance(each, float) for each in values.tolist()):
        values = values.astype(np.float64)  # a constant comes as objects
    doubles = facts.get("_fit_dtype") == facts.get("_fill_dtype") == np.dtype(np.float64)
    if not doubles or not (isinstance(missing, float) and np.isnan(missing)) or facts.get("indicator_") is not None:
        return ()
    fill = _numbers(values)
    return () if fill is None else (_Fill(fill),)


def _standard(facts: dict[str, Any]) -> Sequence[Change]:
    return _scaled(
        (np.subtract, facts.get("mean_") if facts.get("with_mean") else None, facts.get("with_mean")),
        (np.divide, facts.get("scale_") if facts.get("with_std") else None, facts.get("with_std")),
    )


def _robust(facts: dict[str, Any]) -> Sequence[Change]:
    return _scaled(
        (np.subtract, facts.get("center_"), facts.get("with_centering")),
        (np.divide, facts.get("scale_"), facts.get("with_scaling")),
    )


def _min_max(facts: dict[str, Any]) -> Sequence[Change]:
    if facts.get("clip") is not False:
        return ()
    return _scaled((np.multiply, facts.get("scale_"), True), (np.add, facts.get("min_"), True))


def _max_abs(facts: dict[str, Any]) -> Sequence[Change]:
    if facts.get("clip", False) is not False:
        return ()
    return _scaled((np.divide, facts.get("scale_"), True))


_READERS: dict[str, Callable[[dict[str, Any]], Sequence[Change]]] = {
    "sklearn.impute._base.SimpleImputer": _imputer,
    "sklearn.preprocessing._data.MaxAbsScaler": _max_abs,
    "sklearn.preprocessing._data.MinMaxScaler": _min_max,
    "sklearn.preprocessing._data.RobustScaler": _robust,
    "sklearn.preprocessing._data.StandardScaler": _standard,
}


def _scaled(*operations: tuple[np.ufunc, Any, Any]) -> Sequence[Change]:
    """A check, as each scaler makes one, and what is computed with one number for each column."""
    changes: list[Change] = [_refuse_infinite]
    for operation, values, wanted in operations:
        if not wanted:
            continue
        numbers = _numbers(values)
        if numbers is None:
            return ()
        changes.append(_Compute(operation, numbers))
    return changes


def _numbers(values: Any) -> Column | None:
    """One finite double for each column; None where they are something else."""
    if not isinstance(values, np.ndarray) or values.ndim != 1 or values.dtype != np.float64:
        return None
    return values if np.isfinite(values).all() else None


@dataclass(frozen=True)
class _Fill:
    values: Column

    def __call__(self, column: Column, number: int) -> None:
        if _is_finite(column):
            return
        _refuse_infinite(column, number)
        column[np.isnan(column)] = self.values[number]


@dataclass(frozen=True)
class _Compute:
    operation: np.ufunc
    values: Column

    def __call__(self, column: Column, number: int) -> None:
        self.operation(column, self.values[number], out=column)


def _is_finite(column: Column) -> bool:
    """Whether a column holds neither NaN nor an infinity; False also where its sum is too large."""
    return bool(np.isfinite(column.sum()))


def _refuse_infinite(column: Column, number: int) -> None:
    if not _is_finite(column) and np.isinf(column).any():
        raise UnusualValuesError
