"""Text columns of a scikit-learn ColumnTransformer, encoded once for each distinct value instead of once for each row.

Only where each row's code depends on its value alone: a chain of `SimpleImputer` and one `OneHotEncoder` or
`OrdinalEncoder`. The estimator's own branch encodes the distinct values, so the codes are its own; batches share them.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from spark_infer.models.accelerate.accelerated import full_name

_PIPELINE = "sklearn.pipeline.Pipeline"
_TRANSFORMER = "sklearn.compose._column_transformer.ColumnTransformer"
_IMPUTER = "sklearn.impute._base.SimpleImputer"
_ONE_HOT = "sklearn.preprocessing._encoders.OneHotEncoder"
_ORDINAL = "sklearn.preprocessing._encoders.OrdinalEncoder"

_MOST_VALUES = 100_000
"""Distinct values of one column that are remembered at most."""
_MOST_CODES = 2_000_000
"""Numbers that are remembered for one column at most: each value has as many as its column becomes columns."""
_MOST_WIDTH = 256
"""Columns that one text column may become in a dense matrix; beyond that, the rows cost more than the lookup saves."""

MakeFrame = Callable[[pa.RecordBatch], Any]


def encode_by_value(
    estimator: Any, texts: Collection[str], make_frame: MakeFrame
) -> tuple[Any, tuple[EncodedBranch, ...]]:
    """Return an estimator whose text branches take numbers of values instead of values; the given one stays as it is.

    Args:
        estimator: The fitted estimator, which makes arrays and no frames.
        texts: The columns that are text by their declared type.
        make_frame: Makes the frame that the estimator would be given.

    Returns:
        The estimator, and the branches that are others: their columns must be given as `EncodedBranch.numbers` has
        them.
    """
    transformer = _first_step(estimator)
    if full_name(transformer) != _TRANSFORMER or not hasattr(transformer, "feature_names_in_"):
        return estimator, ()
    if transformer.n_jobs not in (None, 1) or getattr(transformer, "_sklearn_output_config", None):
        return estimator, ()
    columns = [_names(transformer, branch, selected) for _, branch, selected in transformer.transformers_]
    if any(names is None for names in columns):
        return estimator, ()
    used = [name for names in columns for name in names or ()]
    changed: dict[int, EncodedBranch] = {}
    for index, (_, branch, selected) in enumerate(transformer.transformers_):
        names = columns[index] or []
        if not names or isinstance(selected, str) or any(each not in texts or used.count(each) > 1 for each in names):
            continue
        widths = _widths(_chain(branch), len(names))
        sparse = transformer.sparse_output_ and getattr(_chain(branch)[-1], "sparse_output", False)
        if widths is None or not (sparse or all(0 < width <= _MOST_WIDTH for width in widths)):
            continue
        changed[index] = EncodedBranch(branch, dict(zip(names, widths, strict=True)), make_frame, sparse=sparse)
    by_value = copy.copy(transformer)
    by_value.transformers_ = [
        (label, changed.get(index, branch), selected)
        for index, (label, branch, selected) in enumerate(transformer.transformers_)
    ]
    return _with_first_step(estimator, by_value), tuple(changed.values())


class EncodedBranch:
    """Stands in for a fitted branch of a ColumnTransformer, which is asked once for each distinct value.

    Args:
        branch: The branch.
        widths: Its columns, and how many columns it makes of each.
        make_frame: Makes the frame that it is given.
        sparse: Whether it makes a sparse matrix with a one for each value, and that is wanted.
    """

    def __init__(self, branch: Any, widths: Mapping[str, int], make_frame: MakeFrame, *, sparse: bool) -> None:
        self._branch = branch
        self._make_frame = make_frame
        self._sparse = sparse
        self._made: Any = None
        self._columns = {name: _Column(1 if sparse else width) for name, width in widths.items()}
        self._ends = np.cumsum([0, *widths.values()])

    @property
    def columns(self) -> tuple[str, ...]:
        """The text columns that it takes the numbers of."""
        return tuple(self._columns)

    def numbers(self, inputs: pa.RecordBatch) -> dict[str, npt.NDArray[np.int64]]:
        """Return the number of the value in each row, for each column; asks the branch for values that are new."""
        encoded = {name: inputs.column(name).dictionary_encode("encode") for name in self._columns}
        new = {name: column.unknown(encoded[name].dictionary) for name, column in self._columns.items()}
        if any(map(len, new.values())):
            self._learn(new)
        return {name: column.numbers(encoded[name]) for name, column in self._columns.items()}

    def _learn(self, new: Mapping[str, pa.Array]) -> None:
        rows = max(map(len, new.values()))
        # Where a column has fewer new values than another, one that a row did have stands in.
        filled = {
            name: pa.concat_arrays([new[name], pa.repeat((column.known if len(column.known) else new[name])[0], rows)])
            for name, column in self._columns.items()
        }
        asked = pa.RecordBatch.from_arrays([each.slice(0, rows) for each in filled.values()], names=list(filled))
        codes = self._branch.transform(self._make_frame(asked))
        self._made = codes[:0]
        codes = _places(codes, self._ends) if self._sparse else codes
        codes = codes.toarray() if hasattr(codes, "toarray") else codes
        start = 0
        for name, column in self._columns.items():
            column.learn(new[name], codes[: len(new[name]), start : start + column.width])
            start += column.width

    def transform(self, frame: Any) -> Any:
        """Return what the branch makes of the values whose numbers these are."""
        parts = [column.codes.take(frame[name].to_numpy(), axis=0) for name, column in self._columns.items()]
        if self._sparse:
            return _ones(np.concatenate(parts, axis=1), self._made)
        # Row by row in memory, as the encoders make it: sums may take another order otherwise.
        out = np.empty((len(frame), sum(column.width for column in self._columns.values())), parts[0].dtype)
        return np.concatenate(parts, axis=1, out=out)


def _places(ones: Any, ends: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The place of the one of each row and text column in a sparse matrix of ones; -1 where it has none."""
    places = np.full((ones.shape[0], len(ends) - 1), -1, np.int64)
    rows = np.repeat(np.arange(ones.shape[0]), np.diff(ones.indptr))
    places[rows, np.searchsorted(ends, ones.indices, side="right") - 1] = ones.indices
    return places


def _ones(places: npt.NDArray[np.int64], like: Any) -> Any:
    """The sparse matrix with ones in these places, of the kind and width of another."""
    there = places >= 0
    ends = np.concatenate([[0], np.cumsum(there.sum(axis=1))])
    indices = places[there]
    return type(like)((np.ones(len(indices), like.dtype), indices, ends), shape=(len(places), like.shape[1]))


class _Column:
    """The values of one column that rows had so far, null among them, and their codes."""

    def __init__(self, width: int) -> None:
        self.width = width
        self._most = min(_MOST_VALUES, _MOST_CODES // width)
        self._forget()

    def _forget(self) -> None:
        self.known: pa.Array = pa.array([], pa.string())
        self.codes: npt.NDArray[Any] = np.empty((0, self.width))

    def unknown(self, values: pa.Array) -> pa.Array:
        """Return those of some distinct values that are new; makes room for them where there is none."""
        new = values.filter(pc.is_null(pc.index_in(values, self.known)))
        if len(self.known) + len(new) > self._most:
            self._forget()
            return values
        return new

    def learn(self, values: pa.Array, codes: npt.NDArray[Any]) -> None:
        """Remember values."""
        self.codes = np.concatenate([self.codes, codes]) if len(self.known) else codes.copy()
        self.known = pa.concat_arrays([self.known, values])

    def numbers(self, encoded: pa.DictionaryArray) -> npt.NDArray[np.int64]:
        """Return the number of the value in each row."""
        numbers = pc.index_in(encoded.dictionary, self.known).take(encoded.indices)
        found: npt.NDArray[np.int64] = numbers.to_numpy().astype(np.int64)
        return found


def _first_step(estimator: Any) -> Any:
    while full_name(estimator) == _PIPELINE:
        estimator = estimator.steps[0][1]
    return estimator


def _with_first_step(estimator: Any, first: Any) -> Any:
    """The estimator with another first step; what comes after it is shared."""
    if full_name(estimator) != _PIPELINE:
        return first
    (name, step), *others = estimator.steps
    own = copy.copy(estimator)
    own.steps = [(name, _with_first_step(step, first)), *others]
    return own


def _names(transformer: Any, branch: Any, selected: Any) -> list[str] | None:
    """The columns of a branch; None where they are not known."""
    if isinstance(branch, str) and branch == "drop":
        return []
    if isinstance(selected, str):
        return [selected]
    listed = selected.tolist() if hasattr(selected, "tolist") else selected
    if not isinstance(listed, list) or any(isinstance(each, bool) for each in listed):
        return None
    known = transformer.feature_names_in_
    if not all(isinstance(each, int | str) for each in listed):
        return None
    return [each if isinstance(each, str) else str(known[each]) for each in listed]


def _chain(branch: Any) -> list[Any]:
    """The steps of a branch, one after the other."""
    steps = [step for _, step in branch.steps] if full_name(branch) == _PIPELINE else [branch]
    return [step for step in steps if step is not None and step != "passthrough"]


def _widths(chain: Sequence[Any], count: int) -> list[int] | None:
    """How many columns a chain makes of each of its columns; None where that is not known, or too many."""
    if not chain or any(getattr(step, "_sklearn_output_config", None) for step in chain):
        return None
    *fillers, encoder = chain
    for filler in fillers:
        if full_name(filler) != _IMPUTER or filler.strategy not in ("constant", "most_frequent"):
            return None
        if filler.add_indicator or len(filler.get_feature_names_out()) != count:
            return None
    if full_name(encoder) == _ORDINAL:
        return [1] * count
    if full_name(encoder) != _ONE_HOT or encoder.min_frequency is not None or encoder.max_categories is not None:
        return None
    dropped = encoder.drop_idx_ if encoder.drop_idx_ is not None else [None] * count
    widths = [len(known) - (drop is not None) for known, drop in zip(encoder.categories_, dropped, strict=True)]
    return widths
