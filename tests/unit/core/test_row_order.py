"""Models that answer their rows in another order are found out, and no others are suspected."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_infer.core.contract import bind
from spark_infer.core.row_order import ROWS, Echoes, RowOrder, find_row_order
from spark_infer.core.signature import Column, Signature

Answer = Callable[[pd.DataFrame], pd.DataFrame]


def predicting(answer: Answer) -> Callable[[pa.RecordBatch], pa.RecordBatch]:
    return lambda rows: pa.RecordBatch.from_pandas(answer(rows.to_pandas()), preserve_index=False)


def found(answer: Answer, rows: pa.RecordBatch) -> RowOrder:
    return find_row_order(predicting(answer), rows)


def batch(ds: list[int], store: list[str] | None = None) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({"ds": ds, "store": store or ["b", "a"] * (len(ds) // 2) + ["b"] * (len(ds) % 2)})


SOME = batch([4, 1, 3, 9, 0])


def by_time(rows: pd.DataFrame) -> pd.DataFrame:
    ordered = rows.sort_values("ds").reset_index(drop=True)
    return pd.DataFrame({"ds": ordered["ds"], "yhat": ordered["ds"] * 2.0 + 1})


def by_time_with_noise(rows: pd.DataFrame) -> pd.DataFrame:
    return by_time(rows).assign(lower=np.random.default_rng().normal(size=len(rows)))


def by_time_with_the_labels(rows: pd.DataFrame) -> pd.DataFrame:
    return (rows.sort_values("ds", ascending=False)["ds"] * 2.0).to_frame("yhat")


def by_store(rows: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([part.assign(yhat=part["ds"] + 0.5)[["yhat"]] for _, part in rows.groupby("store")])


def class_by_time(rows: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"late": rows["ds"].sort_values() > 2})


def several_by_time(rows: pd.DataFrame) -> pd.DataFrame:
    if len(rows) < 2:
        raise ValueError("a series needs two rows")
    return by_time(rows)[["ds"]].assign(trend=np.arange(len(rows)) * 1.5)


@pytest.mark.parametrize(
    ("answer", "outputs"),
    [
        (by_time, ("ds", "yhat")),
        (by_time_with_noise, ("ds", "yhat")),
        (by_time_with_the_labels, ("yhat",)),
        (by_store, ("yhat",)),
        (class_by_time, ("late",)),
        (several_by_time, ("ds",)),
    ],
)
@pytest.mark.parametrize("rows", [SOME, batch([0, 1, 2, 3, 4]), batch([9, 5, 2, 1]), batch(list(range(1000)))], ids=len)
def test_answers_at_other_rows_are_found(answer: Answer, outputs: tuple[str, ...], rows: pa.RecordBatch) -> None:
    assert found(answer, rows).moved == outputs


def numbered() -> Answer:
    calls = itertools.count()
    return lambda rows: pd.DataFrame({"call": [next(calls)] * len(rows), "same": rows["ds"]})


def centred(rows: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"z": rows["ds"] - rows["ds"].mean()})


def chance(rows: pd.DataFrame) -> pd.DataFrame:
    dice = np.random.default_rng()
    return pd.DataFrame({"label": dice.integers(0, 2, len(rows)), "p": dice.normal(size=len(rows))})


def seeded(rows: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"label": np.random.default_rng(3).integers(0, 2, len(rows))})


@pytest.mark.parametrize(
    ("answer", "unknown"),
    [
        (lambda rows: pd.DataFrame({"p": rows["ds"] * 2, "text": rows["store"]}), ""),
        (lambda rows: pd.DataFrame({"p": (rows["ds"] * 2).set_axis(rows["ds"][::-1])}), ""),
        (lambda rows: pd.DataFrame({"a": [[float(v), np.nan] for v in rows["ds"]]}), ""),
        (centred, ""),
        (lambda rows: pd.DataFrame({"ds": rows["ds"].rank().astype(int)}), ""),
        (lambda rows: pd.DataFrame({"p": [1.0] * len(rows)}), "all rows that the model was tried with get one answer"),
        (lambda rows: pd.DataFrame({"number": range(len(rows))}), "several rows, on their order or on chance"),
        (lambda rows: pd.DataFrame({"before": rows["ds"].shift()}), "several rows, on their order or on chance"),
        (lambda rows: pd.DataFrame({"sum": rows["ds"].cumsum()}), "several rows, on their order or on chance"),
        (lambda rows: pd.DataFrame({"up": rows["ds"].diff() > 0}), "several rows, on their order or on chance"),
        (chance, "several rows, on their order or on chance"),
        (seeded, "several rows, on their order or on chance"),
        (numbered(), "several rows, on their order or on chance"),
        (lambda rows: 1 / 0, "the model raised"),
    ],
)
def test_models_that_look_at_several_rows_or_throw_dice_are_not_suspected(answer: Answer, unknown: str) -> None:
    for rows in (SOME, batch([0, 1, 2, 3, 4, 5, 6]), batch(list(range(40)))):
        result = found(answer, rows)
        assert result.moved == ()
        assert unknown in result.unknown
        assert bool(unknown) == bool(result.unknown)


def test_few_rows_are_predicted_and_only_twice_where_the_order_is_kept() -> None:
    sizes: list[int] = []

    def predict(rows: pa.RecordBatch) -> pa.RecordBatch:
        sizes.append(rows.num_rows)
        return rows.select(["ds"])

    assert str(find_row_order(predict, batch(list(range(1000))))) == "kept, as 16 rows in two orders showed"
    assert sizes == [ROWS, ROWS]
    assert str(find_row_order(predict, batch([1]))) == "not known: it takes two rows to see it"
    assert sizes == [ROWS, ROWS]


@given(st.lists(st.integers(0, 30), min_size=2, max_size=20), st.permutations(range(31)))
def test_a_model_that_sorts_by_anything_is_found_and_one_that_does_not_is_not(rows: list[int], places: Any) -> None:
    def ordered(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.sort_values("ds", key=lambda ds: ds.map(dict(enumerate(places))))[["ds"]]

    assert found(ordered, batch(rows)).moved == (("ds",) if len(set(rows)) > 1 else ())
    assert found(lambda frame: frame[["ds"]], batch(rows)).moved == ()


SCHEMA = pa.schema({"ds": pa.int64(), "store": pa.string()})
BINDING = bind(SCHEMA, Signature(inputs=tuple(Column(name=field.name, type=field.type) for field in SCHEMA)))


@pytest.mark.parametrize(
    ("answer", "moved"),
    [
        (by_time, ("ds", "yhat")),
        (lambda rows: rows.assign(yhat=1.0), ()),
        (lambda rows: rows.assign(ds=rows["ds"] + 1), ()),
        (lambda rows: rows.assign(ds=rows["ds"].rank(ascending=False).astype(int) - 1), ()),
        (lambda rows: rows.assign(store=rows["store"].map({"a": "b", "b": "a"})), ()),
    ],
)
def test_an_output_that_repeats_an_input_at_other_rows_is_found_in_any_batch(
    answer: Answer, moved: tuple[str, ...]
) -> None:
    rows = batch([3, 1, 2, 0, 5, 4])
    predict = predicting(answer)
    outputs = predict(rows)
    echoes = Echoes(BINDING, outputs.schema)
    assert echoes.moved(rows, outputs, predict) == moved
    asked: list[int] = []
    assert echoes.moved(rows, outputs, lambda rows: asked.append(1) or predict(rows)) == ()  # type: ignore[func-returns-value]
    assert asked == []  # once is enough to know what the model means by the name


def test_a_null_that_a_model_returns_as_nan_does_not_hide_that_rows_have_moved() -> None:
    rows = pa.RecordBatch.from_pydict({"x": [2.0, None, 1.0, 3.0]})

    def predict(rows: pa.RecordBatch) -> pa.RecordBatch:
        values = np.sort(rows.column("x").to_numpy(zero_copy_only=False))
        return pa.RecordBatch.from_arrays([pa.array(values)], names=["x"])  # NaN, and no null

    echoes = Echoes(bind(rows.schema, Signature(inputs=(Column(name="x", type=pa.float64()),))), rows.schema)
    assert echoes.moved(rows, predict(rows), predict) == ("x",)
