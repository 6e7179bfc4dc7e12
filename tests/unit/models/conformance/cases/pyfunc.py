"""Custom models: a `PythonModel` may take and return what it likes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pydantic
from mlflow.models import ModelSignature, infer_signature
from mlflow.pyfunc.model import PythonModel
from mlflow.types import ColSpec, Schema

from tests.unit.models.conformance.case import Case

ROWS = pd.DataFrame({"n": [3, 1, 2, 5, 4], "x": [0.5, np.nan, 2.5, -1.0, 4.0], "text": ["a", "b", None, "d", "e"]})


class Answer(PythonModel):
    """Returns what a function makes of the frame."""

    def __init__(self, answer: Callable[[pd.DataFrame], Any]) -> None:
        self.answer = answer

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> Any:
        return self.answer(model_input)


class Threshold(PythonModel):
    """Takes a parameter."""

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> Any:
        given = params or {}
        return [f"{given['prefix']}{n}" for n in model_input["n"] + given["added"]]


class Person(pydantic.BaseModel):
    """A row, as a type hint describes it."""

    n: int
    text: str | None = None


class Greeted(pydantic.BaseModel):
    """An answer of two columns."""

    words: str
    size: int


class Hinted(PythonModel):
    """Its type hints are its signature."""

    def predict(self, model_input: list[Person]) -> list[Greeted]:  # type: ignore[override]  # as MLflow asks
        return [Greeted(words=f"hello {person.text}", size=person.n) for person in model_input]


class HintedWords(PythonModel):
    """One unnamed column of texts."""

    def predict(self, model_input: list[str]) -> list[int]:  # type: ignore[override]  # as MLflow asks
        return [len(word) for word in model_input]


def rowwise(frame: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Yields its answers one by one, as streaming models do."""
    for n, x in zip(frame["n"], frame["x"], strict=True):
        yield {"half": x / 2, "next": int(n) + 1}


def framewise(frame: pd.DataFrame) -> Iterator[pd.DataFrame]:
    for start in range(0, len(frame), 2):
        part = frame.iloc[start : start + 2]
        yield pd.DataFrame({"half": part["x"] / 2, "next": part["n"] + 1})


def reindexed(frame: pd.DataFrame) -> pd.DataFrame:
    """Labels the answers with the ranks of the rows, which are a permutation of 0 to n-1 in every batch."""
    ranks = frame["n"].rank(ascending=False).astype(int) - 1
    return pd.DataFrame({"half": frame["x"].to_numpy() / 2, "next": frame["n"].to_numpy() + 1}, index=ranks)


HALF_AND_NEXT = Schema([ColSpec("double", "half"), ColSpec("long", "next")])
CODE = """\
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel

class Doubled(PythonModel):
    def predict(self, context, model_input, params=None):
        return model_input["x"] * 2

set_model(Doubled())
"""


def saved(model: Any, folder: Path, signature: ModelSignature | None, rows: pd.DataFrame = ROWS) -> pd.DataFrame:
    how = {} if signature is None else {"signature": signature}
    mlflow.pyfunc.save_model(folder, python_model=model, pip_requirements=["pandas"], **how)
    return rows


def answering(folder: Path, *, answer: Callable[[pd.DataFrame], Any], outputs: Schema = HALF_AND_NEXT) -> Any:
    return saved(Answer(answer), folder, ModelSignature(infer_signature(ROWS).inputs, outputs))


def from_code(folder: Path) -> Any:
    program = folder.parent / "program.py"
    program.write_text(CODE)
    return saved(str(program), folder, infer_signature(ROWS, ROWS["x"]))


def with_params(folder: Path) -> Any:
    return saved(Threshold(), folder, infer_signature(ROWS, ["a"], params={"prefix": "no ", "added": 1}))


def without_signature(folder: Path) -> Any:
    return saved(Answer(lambda frame: frame["x"] - frame["n"]), folder, None)


def hinted(folder: Path) -> Any:
    return saved(Hinted(), folder, None, ROWS[["n", "text"]])


def hinted_words(folder: Path) -> Any:
    return saved(HintedWords(), folder, None, pd.DataFrame({"word": ["tree", "", "a"]}))


def _case(name: str, save: Callable[[Path], Any], **more: Any) -> Case:
    return Case(name=name, save=save, backend="pyfunc", because=more.pop("because", "a custom pyfunc"), **more)


def _answer(name: str, answer: Callable[[pd.DataFrame], Any], **more: Any) -> Case:
    return _case(name, partial(answering, answer=answer, **more))


CASES = [
    _answer("frame", lambda frame: pd.DataFrame({"half": frame["x"] / 2, "next": frame["n"] + 1})),
    _answer("frame with an index of its own", reindexed),
    _answer("list of dicts", lambda frame: list(rowwise(frame))),
    _answer("dict of arrays", lambda frame: {"half": frame["x"].to_numpy() / 2, "next": frame["n"].to_numpy() + 1}),
    _answer("generator of rows", rowwise),
    _answer("generator of frames", framewise),
    _answer("texts, some missing", lambda frame: frame["text"].tolist(), outputs=Schema([ColSpec("string")])),
    _answer(
        "arrays", lambda frame: np.outer(frame["n"], [1.0, 0.5]), outputs=infer_signature([0], np.ones((2, 2))).outputs
    ),
    _case("parameters of the signature", with_params),
    _case("parameters that are given", with_params, params=(("prefix", "yes "),)),
    _case("model from code", from_code),
    _case("type hints, pydantic rows", hinted),
    _case("type hints, one column", hinted_words, options=(("inputs", ("word",)),)),
    _case(
        "no signature",
        without_signature,
        options=(("inputs", ("n", "x")),),
        returns=pa.schema([("prediction", pa.float64())]),
    ),
]
