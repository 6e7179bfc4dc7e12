"""Random cases: a way in which the model answers, and a table; and what MLflow's pyfunc answers, by position."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from hypothesis import strategies as st
from mlflow.pyfunc import PyFuncModel

from tests.differential.model import CHANGES, INDEXES, OUTPUTS, SEPARATOR, SHAPES, TYPES

SCHEMA = pa.schema(
    {
        "row": pa.int64(),
        "how": pa.string(),
        "id": pa.int64(),
        "x": pa.float64(),
        "f": pa.float32(),
        "n": pa.int64(),
        "t": pa.string(),
        "b": pa.bool_(),
        "d": pa.timestamp("us"),
    }
)
_MOMENTS = st.sampled_from([None, *pd.date_range("1999-12-31 23:59:59", periods=4, freq="7D").to_pydatetime()])
_ROWS = st.tuples(
    st.one_of(st.none(), st.sampled_from([0.0, -0.0, 1.5, -7.25, float("nan"), float("inf"), 2.0**60])),
    st.one_of(st.none(), st.sampled_from([0.5, -2.0])),
    st.one_of(st.integers(-3, 3), st.integers(-(2**53), 2**53)),
    st.one_of(st.none(), st.sampled_from(["", "a", "é", "none"])),
    st.booleans(),
    _MOMENTS,
)


@dataclass(frozen=True)
class Case:
    """Which model, how it answers, and a table of `SCHEMA` without the column ``row``."""

    outputs: str
    how: str
    table: pa.Table


@st.composite
def cases(draw: st.DrawFn, outputs: str, most_rows: int = 24) -> Case:
    """Draw a case of the model with ``one`` or ``several`` outputs."""
    rows = draw(st.lists(_ROWS, min_size=1, max_size=most_rows))
    count = len(rows)
    ids = draw(
        st.one_of(
            st.just(range(count)),
            st.permutations(range(count)),
            st.permutations(range(1, count + 1)),
            st.lists(st.integers(0, 10**6), min_size=count, max_size=count, unique=True),
            st.lists(st.integers(0, 2), min_size=count, max_size=count),
        )
    )
    words = [draw(st.sampled_from(list(choices))) for choices in (CHANGES, INDEXES, TYPES, SHAPES[outputs])]
    how = SEPARATOR.join(words)
    columns = [[how] * count, ids, *([row[at] for row in rows] for at in range(6))]
    arrays = [pa.array(values, field.type) for values, field in zip(columns, list(SCHEMA)[1:], strict=True)]
    return Case(outputs, how, pa.Table.from_arrays(arrays, names=SCHEMA.names[1:]))


def expected(case: Case, model: PyFuncModel) -> list[tuple[Any, ...]]:
    """Ask MLflow alone, for the whole table at once: the outputs of each row, by position."""
    frame = case.table.to_pandas(integer_object_nulls=True)
    return list(zip(*_columns(model.predict(frame), case.outputs), strict=True))


def _columns(answer: Any, outputs: str) -> list[list[Any]]:
    names = [column.name for column in OUTPUTS[outputs].inputs]
    if isinstance(answer, Iterator):
        answer = list(answer)
        if isinstance(answer[0], pd.DataFrame | pd.Series):
            answer = pd.concat(answer)
    if isinstance(answer, list) and hasattr(answer[0], "_asdict"):
        answer = [row._asdict() for row in answer]
    if isinstance(answer, list) and isinstance(answer[0], tuple | np.ndarray):
        answer = [np.ravel(row)[0] for row in answer]
    if isinstance(answer, list) and isinstance(answer[0], dict):
        answer = {name: [row[name] for row in answer] for name in names}
    if isinstance(answer, pd.DataFrame | dict):
        return [plain(answer[name]) for name in names]
    if len(names) > 1 or getattr(answer, "ndim", 1) == 2:
        return [plain(answer[:, at]) for at in range(len(names))]
    return [plain(answer)]


def plain(values: Any) -> list[Any]:
    """Values as Python has them, whatever holds them; all that is missing is None."""
    listed = values.to_pylist() if isinstance(values, pa.Array | pa.ChunkedArray) else list(values)
    return [None if pd.isna(value) else _plain(value) for value in listed]


def _plain(value: Any) -> Any:
    if isinstance(value, pd.Timestamp | np.datetime64):
        return pd.Timestamp(value).to_pydatetime()
    return value.item() if hasattr(value, "item") else value
