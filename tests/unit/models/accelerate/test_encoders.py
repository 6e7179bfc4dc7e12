"""Text that is encoded once for each distinct value: the same numbers, in the same layout, as row by row."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler

from spark_infer.models.accelerate import encoders
from spark_infer.models.accelerate.encoders import EncodedBranch, encode_by_value
from spark_infer.models.backends.frame import to_frame

TEXTS = ("city", "shop")
TRAINED_ON = pd.DataFrame(
    {
        "city": ["Oslo", "Rome", None, "Oslo", "", "Łódź"],
        "shop": ["a", "b", "c", None, "a", "c"],
        "size": [1.0, np.nan, 3.0, 4.0, 5.0, 6.0],
    }
)
FILL = SimpleImputer(strategy="constant", fill_value="none", missing_values=None)
MOST = SimpleImputer(strategy="most_frequent", missing_values=None)
LENIENT = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
NUMBERS = (SimpleImputer(), ["size"])

BY_VALUE = {
    "ordinal": make_column_transformer((LENIENT, [*TEXTS]), NUMBERS),
    "filled": make_column_transformer((make_pipeline(FILL, LENIENT), ["shop"]), NUMBERS, remainder=LENIENT),
    "dense": make_column_transformer(
        (make_pipeline(MOST, OneHotEncoder(handle_unknown="ignore", sparse_output=False)), [*TEXTS]), NUMBERS
    ),
    "made dense": make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["shop", "city"]), NUMBERS, sparse_threshold=0
    ),
    "dropped": make_column_transformer(
        (OneHotEncoder(drop="first", handle_unknown="ignore", sparse_output=False), [0, 1]), (StandardScaler(), [2])
    ),
    "weighted": ColumnTransformer([("text", LENIENT, ["city"])], transformer_weights={"text": 3.0}),
}
SPARSE = {
    "one-hot": make_column_transformer((OneHotEncoder(handle_unknown="ignore"), [*TEXTS]), NUMBERS, sparse_threshold=1),
    "beside dense": make_column_transformer(
        (make_pipeline(FILL, OneHotEncoder(drop="if_binary", handle_unknown="ignore", dtype=np.float32)), ["shop"]),
        (LENIENT, ["city"]),
        sparse_threshold=1,
    ),
}
AS_BEFORE = {
    "words": make_column_transformer((CountVectorizer(analyzer="char"), "shop"), NUMBERS),
    "used twice": make_column_transformer((LENIENT, ["city"]), (OneHotEncoder(), ["city", "shop"])),
    "a function": make_column_transformer((FunctionTransformer(lambda rows: rows.map(len)), ["city"])),
    "rare ones together": make_column_transformer((OneHotEncoder(min_frequency=2, sparse_output=False), ["shop"])),
    "frames": make_column_transformer((clone(LENIENT), ["city"])).set_output(transform="pandas"),
}
WORDS = st.lists(st.sampled_from(["Oslo", "Rome", "", "a", "b", "none", "x\0", "Łódź", None]), max_size=12)


def fitted(transformer: Any, rows: pd.DataFrame = TRAINED_ON) -> Any:
    return copy.deepcopy(transformer).fit(rows)


def transformed(transformer: Any, branches: Sequence[EncodedBranch], batch: pa.RecordBatch) -> Any:
    numbers = {name: each for branch in branches for name, each in branch.numbers(batch).items()}
    return transformer.transform(to_frame(batch, numbers))


def batch_of(words: list[str | None]) -> pa.RecordBatch:
    columns = [pa.array(words, pa.string()), pa.array(words[::-1], pa.string()), pa.array([1.0] * len(words))]
    return pa.RecordBatch.from_arrays(columns, names=list(TRAINED_ON.columns))


@pytest.mark.filterwarnings("ignore:Found unknown categories")
@pytest.mark.parametrize("name", BY_VALUE)
@settings(max_examples=settings().max_examples // 3)  # each fits a transformer
@given(batches=st.lists(WORDS.filter(bool), min_size=1, max_size=4))
def test_the_numbers_are_those_of_the_transformer_alone(name: str, batches: list[list[str | None]]) -> None:
    alone = fitted(BY_VALUE[name])
    by_value, branches = encode_by_value(alone, TEXTS, to_frame)
    assert branches
    for batch in map(batch_of, batches):
        wanted, found = alone.transform(to_frame(batch)), transformed(by_value, branches, batch)
        assert found.dtype == wanted.dtype
        assert np.array_equal(found, wanted, equal_nan=True)
        assert found.flags.c_contiguous == wanted.flags.c_contiguous


@pytest.mark.filterwarnings("ignore:Found unknown categories")
@pytest.mark.parametrize("name", SPARSE)
@settings(max_examples=settings().max_examples // 3)  # each fits a transformer
@given(batches=st.lists(WORDS.filter(bool), min_size=1, max_size=4))
def test_a_sparse_matrix_has_the_same_numbers_in_the_same_order(name: str, batches: list[list[str | None]]) -> None:
    alone = fitted(SPARSE[name])
    by_value, branches = encode_by_value(alone, TEXTS, to_frame)
    assert branches
    for batch in map(batch_of, batches):
        wanted, found = alone.transform(to_frame(batch)), transformed(by_value, branches, batch)
        assert type(found) is type(wanted)
        assert (found.shape, found.dtype) == (wanted.shape, wanted.dtype)
        for part in ("data", "indices", "indptr"):
            assert np.array_equal(getattr(found, part), getattr(wanted, part), equal_nan=True)
            assert getattr(found, part).dtype == getattr(wanted, part).dtype


@pytest.mark.parametrize("name", AS_BEFORE)
def test_what_may_look_at_more_than_a_value_stays_as_it_was(name: str) -> None:
    transformer = fitted(AS_BEFORE[name], TRAINED_ON.fillna({"city": "", "shop": "a"}))
    assert encode_by_value(transformer, TEXTS, to_frame)[1] == ()


def test_a_value_that_the_encoder_refuses_is_refused_and_leaves_the_next_batch_alone() -> None:
    transformer = fitted(make_column_transformer((OrdinalEncoder(), [*TEXTS])))
    transformer, branches = encode_by_value(transformer, TEXTS, to_frame)
    schema = pa.schema([("city", pa.string()), ("shop", pa.string())])
    good = pa.RecordBatch.from_pydict({"city": ["Rome", None], "shop": ["c", "c"]}, schema=schema)
    bad = pa.RecordBatch.from_pydict({"city": ["Oslo", "Mars"], "shop": ["a", "b"]}, schema=schema)
    expected = transformed(transformer, branches, good)
    with pytest.raises(ValueError, match="unknown categories"):
        transformed(transformer, branches, bad)
    assert np.array_equal(transformed(transformer, branches, good), expected, equal_nan=True)


def test_more_values_than_are_remembered_still_come_out_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoders, "_MOST_VALUES", 3)
    alone = fitted(BY_VALUE["ordinal"])
    by_value, branches = encode_by_value(alone, TEXTS, to_frame)
    for words in (["Oslo", "a"], ["b", "c", "Rome"], ["a", "b", "c", "d", "Oslo"], ["Rome", "Oslo"]):
        batch = batch_of([*words])
        assert np.array_equal(transformed(by_value, branches, batch), alone.transform(to_frame(batch)))


def test_the_branch_is_asked_once_for_each_value() -> None:
    pipeline = make_pipeline(BY_VALUE["ordinal"], LogisticRegression()).fit(TRAINED_ON.iloc[[0, 1, 3, 4]], [0, 1, 0, 1])
    pipeline, branches = encode_by_value(pipeline, TEXTS, to_frame)
    inner, asked = branches[0]._branch, []

    class Listening:
        def transform(self, frame: pd.DataFrame) -> Any:
            asked.append(frame["city"].tolist())
            return inner.transform(frame)

    branches[0]._branch = Listening()
    for words in (["Oslo", "Rome", "Oslo"], ["Rome", "Oslo"], ["Oslo", None, "Rome"]):
        transformed(pipeline[0], branches, batch_of([*words]))
    assert asked == [["Oslo", "Rome"], [None]]
