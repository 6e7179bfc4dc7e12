"""One saved pyfunc that is many: the first row of a batch says what shape, index and types its answer has.

The answer for a row depends on that row alone, so that rows of several cases may meet in a batch.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
from mlflow.models import ModelSignature
from mlflow.pyfunc.model import PythonModel
from mlflow.types import ColSpec, Schema

INPUTS = Schema(
    [
        ColSpec("string", "how"),
        ColSpec("long", "id"),
        ColSpec("double", "x"),
        ColSpec("float", "f"),
        ColSpec("long", "n"),
        ColSpec("string", "t"),
        ColSpec("boolean", "b"),
        ColSpec("datetime", "d"),
    ]
)
OUTPUTS = {
    "one": Schema([ColSpec("double", "y")]),
    "several": Schema(
        [
            ColSpec("double", "y"),
            ColSpec("long", "k"),
            ColSpec("string", "s"),
            ColSpec("boolean", "c"),
            ColSpec("datetime", "w"),
        ]
    ),
}
OUTPUTS["bare"] = OUTPUTS["one"]
"""The same without a signature, so that MLflow does not copy what the model is given."""
SEPARATOR = "/"
"""Between the words of the column ``how``: change, index, types, shape."""


def _scaled(frame: pd.DataFrame) -> None:
    frame["x"] *= 2
    frame["n"] += 1


def _written_into(frame: pd.DataFrame) -> None:
    frame["f"].to_numpy()[:] = 7
    frame["n"].to_numpy()[frame["n"].to_numpy() < 0] = 0
    frame["t"].to_numpy()[:] = "overwritten"


def _filled(frame: pd.DataFrame) -> None:
    frame.loc[frame["x"].isna(), "x"] = -1.0
    frame.loc[frame["t"].isna(), "t"] = "none"
    frame.loc[frame["d"].isna(), "d"] = pd.Timestamp("2000-01-01")


CHANGES: dict[str, Callable[[pd.DataFrame], Any]] = {
    "nothing": lambda frame: None,
    "scaled": _scaled,
    "written into": _written_into,
    "filled": _filled,
    "sorted": lambda frame: frame.sort_values(["n", "x"], ascending=False, inplace=True),
    "turned": lambda frame: frame.__setitem__("b", ~frame["b"]),
    "inserted": lambda frame: frame.insert(0, "new", 1.0),
    "dropped": lambda frame: frame.drop(columns="f", inplace=True),
}


def _dates(rows: pd.DataFrame) -> Any:
    return pd.Timestamp("2024-01-01") + pd.to_timedelta(rows["id"].to_numpy() % 1000, unit="D")


INDEXES: dict[str, Callable[[pd.DataFrame], Any]] = {
    "range": lambda rows: pd.RangeIndex(len(rows)),
    "backwards": lambda rows: pd.RangeIndex(len(rows) - 1, -1, -1),
    "ids": lambda rows: rows["id"].to_numpy(),
    "ranks": lambda rows: np.argsort(np.argsort(-rows["id"].to_numpy(), kind="stable"), kind="stable"),
    "small ranks": lambda rows: np.argsort(np.argsort(rows["x"].to_numpy())).astype(np.int32),
    "nullable": lambda rows: pd.Index(np.arange(len(rows))[::-1], dtype="Int64"),
    "floats": lambda rows: np.arange(len(rows))[::-1] * 1.0,
    "texts": lambda rows: [str(number) for number in np.arange(len(rows))[::-1]],
    "dates": _dates,
    "doubled": lambda rows: rows["id"].to_numpy() % 2,
    "two levels": lambda rows: pd.MultiIndex.from_arrays([rows["id"].to_numpy() % 2, np.arange(len(rows))[::-1]]),
    "own": lambda rows: rows.index,
}

TYPES: dict[str, dict[str, Any]] = {
    "plain": {},
    "small": {"y": "float32", "k": "int32"},
    "objects": dict.fromkeys("yksbcw", object),
    "nullable": {"y": "Float64", "k": "Int64", "s": "string", "c": "boolean"},
    "categories": {"s": "category"},
    "arrow": {"k": pd.ArrowDtype(pa.int64()), "s": pd.ArrowDtype(pa.string())},
}


def _parts(frame: Any) -> Iterator[Any]:
    for start in range(0, len(frame), 3):
        yield frame.iloc[start : start + 3]


SHAPES: dict[str, dict[str, Callable[[pd.DataFrame], Any]]] = {
    "one": {
        "series": lambda frame: frame["y"],
        "frame": lambda frame: frame,
        "array": lambda frame: frame["y"].to_numpy(),
        "column": lambda frame: frame.to_numpy(),
        "list": lambda frame: frame["y"].tolist(),
        "tuple": lambda frame: tuple(frame["y"]),
        "list of arrays of one": lambda frame: list(frame.to_numpy()),
        "list of 0-d arrays": lambda frame: [np.array(value) for value in frame["y"].tolist()],
        "list of tuples": lambda frame: list(frame.itertuples(index=False, name=None)),
        "named tuples": lambda frame: list(frame.itertuples(index=False)),
        "dict of series": lambda frame: {"y": frame["y"]},
        "dict of lists": lambda frame: {"y": frame["y"].tolist()},
        "list of dicts": lambda frame: frame.to_dict("records"),
        "generator": lambda frame: iter(frame["y"].tolist()),
        "generator of series": lambda frame: _parts(frame["y"]),
        "generator of frames": _parts,
        "arrow": lambda frame: pa.array(frame["y"].tolist(), from_pandas=True),
    },
    "several": {
        "frame": lambda frame: frame,
        "frame, other columns first": lambda frame: frame[frame.columns[::-1]],
        "dict of series": lambda frame: dict(frame.items()),
        "dict of arrays": lambda frame: {name: column.to_numpy() for name, column in frame.items()},
        "dict of lists": lambda frame: {name: column.tolist() for name, column in frame.items()},
        "list of dicts": lambda frame: frame.to_dict("records"),
        "named tuples": lambda frame: list(frame.itertuples(index=False)),
        "generator": lambda frame: iter(frame.to_dict("records")),
        "generator of frames": _parts,
        "matrix": lambda frame: frame.astype(object).to_numpy(),
    },
}

SHAPES["bare"] = SHAPES["one"]


class Many(PythonModel):
    """Answers in the way that the first row asks for."""

    def __init__(self, outputs: str) -> None:
        self._outputs = outputs

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> Any:
        change, index, types, shape = _asked(model_input["how"].iloc[0], self._outputs)
        rows = model_input.copy()
        CHANGES[change](model_input)
        if change == "scaled":  # back again, since the other rows of a batch may belong to other cases
            rows["x"] = model_input["x"] / 2
        left = model_input.sort_index() if change == "sorted" else rows
        answers = pd.DataFrame(
            {
                # In what every type of `TYPES` holds, for the same reason.
                "y": (left["x"] * 3 + left["n"] % 1000).astype("float32").astype("float64"),
                "k": left["n"] % 1000 - left["id"] % 7,
                "s": pd.Series([None if text is None else f"{text}!" for text in left["t"]], left.index, dtype=object),
                "c": left["b"],
                "w": left["d"],
            }
        )[[column.name for column in OUTPUTS[self._outputs].inputs]]
        wanted = {name: dtype for name, dtype in TYPES[types].items() if name in answers}
        return SHAPES[self._outputs][shape](answers.astype(wanted).set_axis(INDEXES[index](rows)))


def _asked(how: str, outputs: str) -> tuple[str, str, str, str]:
    change, index, types, shape = how.split(SEPARATOR) if SEPARATOR in how else ("nothing", "range", "plain", "frame")
    assert shape in SHAPES[outputs]
    return change, index, types, shape


def save_many(folder: Path, outputs: str) -> str:
    """Save one of the models of `OUTPUTS`; returns its folder."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.pyfunc.save_model(
            folder,
            python_model=Many(outputs),
            signature=None if outputs == "bare" else ModelSignature(INPUTS, OUTPUTS[outputs]),
            pip_requirements=["pandas"],
        )
    return str(folder)


def options(outputs: str) -> dict[str, Any]:
    """What a door must be told about one of the models."""
    return {"inputs": INPUTS.input_names(), "result_type": "y double"} if outputs == "bare" else {}
