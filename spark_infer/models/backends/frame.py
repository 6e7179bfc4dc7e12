"""Record batches as pandas frames and back. The only file that knows pandas."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from pandas.api.extensions import ExtensionArray

from spark_infer.core.binding import Binding
from spark_infer.core.build import fields_of, is_sequence
from spark_infer.core.convert import own, tensor, to_numpy
from spark_infer.core.outputs import Predictions, Values
from spark_infer.errors import InputValueError, PredictionShapeError

_FIRST_MOMENT = np.datetime64("1677-09-22", "us")
_LAST_MOMENT = np.datetime64("2262-04-11", "us")


def to_frame(
    inputs: pa.RecordBatch, instead: Mapping[str, npt.NDArray[Any]] | None = None, *, sized: bool = False
) -> pd.DataFrame:
    """Turn model inputs into a frame, each column's dtype decided by its declared type.

    Strings, bytes and everything nested become objects with None for null, under pandas 2 and 3 alike; arrays are
    numpy's (see `core.nested`). The frame is the caller's own: it is writable and shares no memory with ``inputs``,
    which costs one copy of the numbers.

    Args:
        inputs: The columns.
        instead: Values that stand in for those of some columns.
        sized: Whether numbers of 32 bits inside structs and maps are numpy's, as MLflow's enforcement wants them.
    """
    given = instead or {}
    columns = {
        name: pd.Series(given[name], copy=False) if name in given else _series(inputs.column(name), name, sized=sized)
        for name in inputs.schema.names
    }
    # pandas copies a dict's columns into blocks of one dtype each, which is also where `frame.values` writes.
    return pd.DataFrame(columns, copy=True)


def _series(array: pa.Array, name: str, *, sized: bool) -> pd.Series[Any]:
    values = to_numpy(array, name, sized=sized)
    if values.dtype.kind == "M":
        values = _nanoseconds(values, name)
    return pd.Series(values, dtype=object if values.dtype == object else None, copy=False)


def _nanoseconds(values: Any, name: str) -> Any:
    # numpy wraps around in silence where nanoseconds do not reach.
    known = values[~np.isnat(values)]
    first, last = (moment.astype(values.dtype) for moment in (_FIRST_MOMENT, _LAST_MOMENT))
    if len(known) and (known.min() < first or known.max() > last):
        raise InputValueError(
            f"Column {name!r} holds a time outside {_FIRST_MOMENT} to {_LAST_MOMENT}, which pandas cannot hold.",
            next_step="filter these rows with `where`, or replace such times in a preprocess function.",
        )
    return values.astype("datetime64[ns]")


def to_model_input(inputs: pa.RecordBatch, binding: Binding, *, sized: bool = False) -> Any:
    """Give a model what its signature asks for: a frame, an array, or a dict of arrays, which it may write into.

    Args:
        inputs: The columns.
        binding: How they become the model's inputs.
        sized: See `to_frame`.
    """
    if not binding.tensors:
        frame = to_frame(inputs, sized=sized)
        if binding.numbered:
            frame.columns = pd.RangeIndex(len(frame.columns))
        return frame
    arrays = {spec.name: own(tensor(inputs, spec)) for spec in binding.tensors}
    return arrays.get(None, arrays)


def to_predictions(result: Any) -> Predictions:
    """Read what a model returned: a frame, series, array, list, dict of columns, list of dicts or pydantic models.

    Values belong to the rows of the batch by position, as in MLflow's pyfunc; the index of a frame or series does not
    count, because it may hold the user's own labels. A generator is read to its end: its items are rows, or frames with
    some of the rows each. A single value, or a dict with one in it, is the answer for a batch of one row.

    Raises:
        PredictionShapeError: It is none of these.
    """
    result = _whole(result)
    if isinstance(result, pd.DataFrame):
        return _named(result.items())
    if isinstance(result, pa.Table | pa.RecordBatch):
        return _named(zip(result.schema.names, result.columns, strict=True))
    if isinstance(result, pd.Series):
        return {None: _values(result)}
    if isinstance(result, dict) and all(map(is_sequence, result.values())):
        return _named(result.items())
    if isinstance(result, list | tuple) or hasattr(result, "__array__"):
        return {None: _values(result)}
    if np.isscalar(result) or fields_of(result) is not None:
        return {None: [result]}
    raise PredictionShapeError(
        f"The model returned {type(result).__name__}, which holds no rows spark_infer can read.",
        next_step="return a DataFrame, Series, numpy array, list, or dict of arrays.",
    )


def _named(columns: Iterable[tuple[Any, Any]]) -> Predictions:
    named: dict[str | None, Values] = {}
    for name, values in columns:
        if str(name) in named:
            raise PredictionShapeError(
                f"The model returned two outputs whose name is {str(name)!r}.",
                next_step="let the model give each of its outputs a name of its own.",
            )
        named[str(name)] = _values(values)
    return named


def _whole(result: Any) -> Any:
    """Collect what comes in parts, and fill in what is sparse."""
    if hasattr(result, "toarray"):
        return result.toarray()
    if isinstance(result, Iterator):
        result = list(result)
        if result and all(isinstance(part, pd.DataFrame | pd.Series) for part in result):
            _check_names(result)
            return pd.concat(result if _are_alike(result) else [part.astype(object) for part in result])
    return result


def _check_names(parts: list[Any]) -> None:
    """Refuse frames with different columns: pandas fills those that one of them lacks with NaN."""
    names = [set(part.columns) for part in parts if isinstance(part, pd.DataFrame)]
    other = next((each for each in names if each != names[0]), None)
    if other is not None:
        # The names that differ may be values of the rows.
        raise PredictionShapeError(
            f"The model returned frames with different columns for one batch: one has {len(names[0])}, another "
            f"{len(other)}, and {len(names[0] & other)} of them are in both.",
            next_step="let the model return the same columns in each of its frames.",
        )


def _are_alike(parts: list[Any]) -> bool:
    """Whether the parts have the same types: pandas makes doubles of integers beside those of another part."""
    return len({tuple(np.atleast_1d(part.dtypes)) for part in parts}) == 1


def _values(values: Any) -> Values:
    read: Values
    if isinstance(getattr(values, "dtype", None), pd.SparseDtype):
        values = np.asarray(values)
    if isinstance(values, pd.Series | ExtensionArray) and not isinstance(values.dtype, np.dtype):
        arrow = pa.array(values, from_pandas=True)
        # Arrow has numbers of its own for periods and intervals.
        values = list(values) if isinstance(arrow, pa.ExtensionArray) else arrow
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if isinstance(values, pa.Array):
        # Categories have no type at all where every value is missing.
        read = values.dictionary_decode() if isinstance(values, pa.DictionaryArray) else values
        return read
    if isinstance(values, list | tuple) or (isinstance(values, pd.Series) and values.dtype == object):
        return [None if value is pd.NA else value.toarray() if hasattr(value, "toarray") else value for value in values]
    # A matrix stays two-dimensional whatever is taken out of it.
    is_plain = isinstance(values, np.ndarray) and not isinstance(values, np.matrix)
    array: npt.NDArray[Any] = values if is_plain else np.asarray(values)
    if array.dtype == object and (missing := _is_na(array).astype(bool)).any():
        array = array.copy()
        array[missing] = None
    return array


def _is_na(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.frompyfunc(lambda value: value is pd.NA, 1, 1)(values)  # type: ignore[no-any-return]  # one array in, one out
