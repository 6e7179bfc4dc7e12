from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from spark_infer.core.outputs import to_array, to_batch
from spark_infer.core.prediction_columns import choose_outputs, signature_outputs
from spark_infer.core.pylist import to_pylist
from spark_infer.core.signature import Column, Signature, Tensor
from spark_infer.errors import PredictionShapeError, StepError
from tests.types.shapes import ARROW, SHAPES, Shape

LONG = pa.schema([("prediction", pa.int64())])


@pytest.mark.parametrize(
    ("outputs", "expected"),
    [
        ((Tensor(name=None, dtype="int64", shape=(-1,)),), {"prediction": pa.int64()}),
        ((Tensor(name=None, dtype="float32", shape=(-1, 3)),), {"prediction": pa.list_(pa.float32())}),
        ((Tensor(name=None, dtype="float64", shape=(2,)),), {"prediction": pa.list_(pa.float64())}),
        ((Tensor(name="t", dtype="float64", shape=(2, 3)),), {"t": pa.list_(pa.list_(pa.float64()))}),
        ((Tensor(name=None, dtype="float64", shape=()),), {"prediction": pa.float64()}),
        ((Column(name=None, type=pa.string()),), {"prediction": pa.string()}),
        ((Tensor(name="pixels", dtype="uint8", shape=(-1, 2)),), {"pixels": pa.list_(pa.int16())}),
        ((Tensor(name=None, dtype="float16", shape=(-1,)),), {"prediction": pa.float32()}),
        ((Tensor(name=None, dtype="uint64", shape=(-1,)),), {"prediction": pa.decimal128(20, 0)}),
        (
            (Column(name="a", type=pa.string()), Column(name="b", type=pa.float64())),
            {"a": pa.string(), "b": pa.float64()},
        ),
        (
            (Column(name=None, type=pa.string()), Column(name=None, type=pa.float64())),
            {"prediction_0": pa.string(), "prediction_1": pa.float64()},
        ),
    ],
)
def test_outputs_are_named_and_typed_by_the_signature(
    outputs: tuple[Column | Tensor, ...], expected: dict[str, pa.DataType]
) -> None:
    schema = signature_outputs(Signature(inputs=(), outputs=outputs))
    assert schema == pa.schema(list(expected.items()))


def test_a_signature_without_outputs_says_nothing() -> None:
    assert signature_outputs(None) is None
    assert signature_outputs(Signature(inputs=())) is None


@pytest.mark.parametrize(
    ("values", "wanted", "expected"),
    [
        (np.array([1, 2]), pa.int64(), [1, 2]),
        (np.array([1, 2], dtype=np.int32), pa.int64(), [1, 2]),
        (np.array([1.0, 2.0]), pa.int64(), [1, 2]),
        (np.array([[1], [2]]), pa.int64(), [1, 2]),
        ([1, None], pa.int64(), [1, None]),
        (np.array([1, None], dtype=object), pa.int64(), [1, None]),
        (np.array(["a", None, float("nan")], dtype=object), pa.string(), ["a", None, None]),
        (np.array(["a", "b"]), pa.string(), ["a", "b"]),
        (np.array([True, False]), pa.bool_(), [True, False]),
        (np.array([[1.0, 2.0], [3.0, 4.0]]), pa.list_(pa.float64()), [[1.0, 2.0], [3.0, 4.0]]),
        (np.arange(8).reshape(2, 2, 2), pa.list_(pa.list_(pa.int64())), [[[0, 1], [2, 3]], [[4, 5], [6, 7]]]),
        ([[1.0], None], pa.list_(pa.float64()), [[1.0], None]),
        ([{"x": 1}, None], pa.struct([("x", pa.int64())]), [{"x": 1}, None]),
        (pa.array([1, 2]), pa.float64(), [1.0, 2.0]),
        (np.array([1.0, np.nan]), pa.int64(), [1, None]),
        ([1.0, float("nan")], pa.int64(), [1, None]),
        (np.array([0, 1]), pa.bool_(), [False, True]),
        (np.ma.masked_array([[1.0, 2.0]], [[False, True]]), pa.list_(pa.float64()), [[1.0, None]]),
        (np.ma.masked_array([1.0, 2.0], [False, True]), pa.float64(), [1.0, None]),
    ],
)
def test_what_a_model_returns_becomes_the_declared_type(
    values: object, wanted: pa.DataType, expected: list[object]
) -> None:
    array = to_array(values, "p", wanted, len(expected))  # type: ignore[arg-type]
    assert array.type == wanted
    assert array.to_pylist() == expected


def test_nan_and_null_are_kept_apart() -> None:
    array = to_array([1.0, None, float("nan")], "p", pa.float64(), 3)
    assert array.null_count == 1
    assert np.isnan(array[2].as_py())
    assert to_array(np.array([np.nan]), "p", pa.float64(), 1).null_count == 0
    for nested, wanted in (
        ([[1.0, float("nan"), None]], pa.list_(pa.float64())),
        ([{"x": float("nan")}], pa.struct([("x", pa.float64())])),
    ):
        (row,) = to_array(nested, "p", wanted, 1).to_pylist()
        values = row if isinstance(row, list) else list(row.values())
        assert any(value is not None and np.isnan(value) for value in values)
        assert values.count(None) == (1 if isinstance(row, list) else 0)


@pytest.mark.parametrize("value", [np.array(3.0), [3.0]])
def test_a_single_value_is_the_answer_for_one_row_alone(value: object) -> None:
    assert to_array(value, "p", pa.float64(), 1).to_pylist() == [3.0]  # type: ignore[arg-type]
    with pytest.raises(PredictionShapeError, match=r"1 value\(s\) of 'p' for a batch of 2 rows"):
        to_array(value, "p", pa.float64(), 2)  # type: ignore[arg-type]


def test_outputs_named_by_digits_bind_by_name_where_the_names_are_those_of_the_signature() -> None:
    schema = pa.schema([("0", pa.int64()), ("1", pa.int64())])
    assert to_batch({"1": np.array([11]), "0": np.array([10])}, schema, 1).to_pydict() == {"0": [10], "1": [11]}


def test_a_float_array_goes_over_without_a_copy() -> None:
    values = np.array([1.0, 2.0])
    assert to_array(values, "p", pa.float64(), 2).buffers()[1].address == values.ctypes.data


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        (np.array([1.5]), pa.int64()),
        (np.array([2**40]), pa.int32()),
        (np.array(["x"]), pa.float64()),
        (np.array([[1.0, 2.0]]), pa.float64()),
        ([1.5], pa.int64()),
        (np.array([1.5], dtype=object), pa.int32()),
        ([[1.5]], pa.list_(pa.int64())),
        (np.array([0.3]), pa.bool_()),
        (np.array([2]), pa.bool_()),
        (np.array([1e300]), pa.float32()),
        (np.array(["2024-01-01T00:00:00.000000001"], dtype="datetime64[ns]"), pa.timestamp("us")),
        ([1e300], pa.float32()),
        ([[1e300]], pa.list_(pa.float32())),
        ([datetime(2024, 1, 1, 12)], pa.date32()),
        (np.array(["2024-01-01T12"], dtype="datetime64[h]"), pa.date32()),
        (["5"], pa.int64()),
        (np.array(["1.5"]), pa.float64()),
        (["true"], pa.bool_()),
        (["2024-01-01"], pa.timestamp("us")),
        ([5], pa.timestamp("us")),
        (np.array([5]), pa.date32()),
        ([True], pa.timestamp("us")),
        ([datetime(2024, 1, 1)], pa.int64()),
        ([{"a": 1.5}], pa.map_(pa.string(), pa.int64())),
        (np.array([1.234]), pa.decimal128(10, 2)),
        ([Decimal("1.234")], pa.decimal128(10, 2)),
        (np.array([10**9]), pa.decimal128(10, 2)),
        ([b"\xff"], pa.string()),
        (np.array([[1.0]]), pa.map_(pa.string(), pa.float64())),
    ],
)
def test_a_value_that_does_not_fit_is_an_error_and_never_wraps(values: object, wanted: pa.DataType) -> None:
    with pytest.raises(PredictionShapeError, match="'p'"):
        to_array(values, "p", wanted, 1)  # type: ignore[arg-type]


@pytest.mark.parametrize("values", [np.array([1, 2, 3]), np.array([1])])
def test_too_many_or_too_few_values_are_an_error(values: object) -> None:
    with pytest.raises(PredictionShapeError, match="batch of 2 rows"):
        to_batch({None: values}, LONG, 2)  # type: ignore[dict-item]


def test_outputs_bind_by_name_and_extra_ones_are_left_out() -> None:
    schema = pa.schema([("b", pa.int64()), ("a", pa.int64())])
    batch = to_batch({"a": np.array([1]), "b": np.array([2]), "c": np.array([3])}, schema, 1)
    assert batch.to_pydict() == {"b": [2], "a": [1]}


def test_a_missing_output_is_an_error_that_tells_what_there_is() -> None:
    with pytest.raises(PredictionShapeError, match="'b'") as refusal:
        to_batch({"a": np.array([1]), "c": np.array([1])}, pa.schema([("a", pa.int64()), ("b", pa.int64())]), 1)
    assert "['a', 'c']" in str(refusal.value)


def test_a_matrix_serves_as_many_unnamed_outputs_as_it_has_columns() -> None:
    schema = pa.schema([("a", pa.float64()), ("b", pa.float64())])
    assert to_batch({None: np.array([[1.0, 2.0]])}, schema, 1).to_pydict() == {"a": [1.0], "b": [2.0]}


def test_outputs_are_renamed_chosen_or_packed() -> None:
    batch = pa.RecordBatch.from_pydict({"a": [1], "b": [2]})
    assert choose_outputs(batch, {"b": "score"}).to_pydict() == {"score": [2]}
    assert choose_outputs(batch, "both").to_pydict() == {"both": [{"a": 1, "b": 2}]}
    assert choose_outputs(batch.select(["a"]), "only").to_pydict() == {"only": [1]}
    assert choose_outputs(batch, None) is batch
    with pytest.raises(StepError, match="did you mean 'a'"):
        choose_outputs(batch, {"A": "x"})
    with pytest.raises(StepError, match="same column name"):
        choose_outputs(batch, {"a": "x", "b": "x"})


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_every_shape_becomes_what_it_is_declared_as(shape: Shape) -> None:
    values = shape.returned([0, 1])
    array = to_array(values if isinstance(values, np.ndarray) else list(values), "p", ARROW[shape.declared], 2)
    assert array.type == ARROW[shape.declared]
    found = repr(to_pylist(array)).replace("zoneinfo.ZoneInfo(key='UTC')", UTC_TOLD).replace("<UTC>", UTC_TOLD)
    assert found == repr([shape.expected(0), shape.expected(1)])


UTC_TOLD = "datetime.timezone.utc"


def test_numbers_name_the_fields_of_a_struct() -> None:
    scores = [{0: 0.25, 1: 0.75}, None, {"0": 1.0, "1": 0.0}]
    wanted = pa.struct([("0", pa.float64()), ("1", pa.float64())])
    expected = [{"0": 0.25, "1": 0.75}, None, {"0": 1.0, "1": 0.0}]
    assert to_array(scores, "scores", wanted, 3).to_pylist() == expected


DOUBLE = pa.schema({"prediction": pa.float64()})
DOUBLES = pa.schema({"prediction": pa.list_(pa.float64())})
AB: dict[str, Any] = {"b": np.array([1.0, 2.0]), "a": np.array([3, 4])}


def one(predictions: Any, schema: pa.Schema = DOUBLE) -> list[Any]:
    found: list[Any] = to_pylist(to_batch(predictions, schema, 2).column(0))
    return found


def test_the_only_output_serves_whatever_its_name() -> None:
    assert one({"score": np.array([1.0, 2.0])}) == [1.0, 2.0]
    assert one({None: [{"score": 1.0}, {"score": 2.0}]}) == [1.0, 2.0]
    assert one({"score": [[1.0], [2.0, 3.0]]}, DOUBLES) == [[1.0], [2.0, 3.0]]
    with pytest.raises(PredictionShapeError, match=r"did not return the output\(s\) \['other'\]"):
        one({"score": np.array([1.0, 2.0])}, pa.schema({"other": pa.float64()}))


def test_an_output_of_the_declared_name_is_found_among_others() -> None:
    assert one({"a": [0.0, 0.0], "prediction": np.array([1.0, 2.0])}) == [1.0, 2.0]


def test_an_array_is_declared_for_several_outputs_one_or_a_matrix() -> None:
    assert one(AB, DOUBLES) == [[1.0, 3.0], [2.0, 4.0]]
    assert one({None: np.array([1.0, 2.0])}, DOUBLES) == [[1.0], [2.0]]
    assert one({None: np.array([[1.0, 2.0], [3.0, np.nan]])}, DOUBLES)[0] == [1.0, 2.0]
    texts = pa.schema({"prediction": pa.list_(pa.string())})
    assert one({**AB, "c": [True, None], "d": ["x", "y"]}, texts)[1] == ["2.0", "4", None, "y"]
    # A missing number in a column is missing in the array, and no missing array.
    assert one({"a": [1.0, None], "b": [None, 2.0]}, DOUBLES) == [[1.0, None], [None, 2.0]]


@pytest.mark.parametrize(
    ("predictions", "schema", "says"),
    [
        (AB, DOUBLE, r"the outputs \['b', 'a'\], and one of type double is declared"),
        (AB, pa.schema({"prediction": pa.list_(pa.list_(pa.float64()))}), "the outputs"),
        ({**AB, "ok": np.array([True, False])}, DOUBLES, r"\['ok'\] hold other values"),
        ({**AB, "ok": [None, True]}, DOUBLES, r"\['ok'\] hold other values"),
        (AB, pa.schema({"prediction": pa.list_(pa.bool_())}), r"\['b', 'a'\] hold other values"),
        ({**AB, "label": ["x", "y"]}, DOUBLES, "'label': not double"),
        ({None: [{"a": 1.0, "b": 2.0}, {"b": 1.0, "a": 2.0}]}, DOUBLES, "are in no order"),
        ({None: [{"a": 1.0}, 2.0]}, DOUBLE, "some rows with names"),
    ],
)
def test_several_outputs_are_not_one_value(predictions: Any, schema: pa.Schema, says: str) -> None:
    with pytest.raises(PredictionShapeError, match=says):
        one(predictions, schema)


def test_rows_with_names_are_the_values_of_a_declared_object_or_map() -> None:
    rows: list[Any] = [{"a": 1, "b": 2}, {"b": 3}]
    assert one({None: rows}, pa.schema({"p": pa.map_(pa.string(), pa.int64())})) == rows
    assert one({None: rows}, pa.schema({"p": pa.struct([("b", pa.int64())])})) == [{"b": 2}, {"b": 3}]
    inner = pa.schema({"p": pa.struct([("b", pa.int64())])})
    assert one({None: [{"p": rows[0]}, {"p": None}]}, inner) == [{"b": 2}, None]


def test_a_key_of_a_map_may_have_the_name_of_the_output() -> None:
    doubles = pa.schema({"prediction": pa.map_(pa.string(), pa.float64())})
    for rows in ([{"prediction": None, "o": 2.0}, {"o": 1.0}], [{"prediction": 1.0}, {"Prediction": 2.0}]):
        assert one({None: rows}, doubles) == rows
    assert one({None: [{"prediction": {"o": 1.0}}, {"prediction": None}]}, doubles) == [{"o": 1.0}, None]


def test_rows_that_name_an_output_in_another_case_are_an_error() -> None:
    both = pa.schema({"a": pa.int64(), "b": pa.int64()})
    assert to_batch({None: [{"a": 1, "b": 2}, {"a": 3}]}, both, 2).column("b").to_pylist() == [2, None]
    with pytest.raises(PredictionShapeError, match="a row with 'B' and without 'b'"):
        to_batch({None: [{"a": 1, "b": 2}, {"a": 3, "B": 4}]}, both, 2)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([{"score": 1.0, "Alice": 1.0}, {"score": 2.0, "Bob": 1.0}], r"\['score'\] and 2 others"),
        ([{"Alice": 1.0, "Bob": 1.0}], "2 names"),
        ([{"Alice": 1.0}, {"Bob": 1.0}, None], "2 names"),
        ([{"x" * 61: 1.0, **{f"c{at}": 1.0 for at in range(500)}}] * 2, r"'c0', .*\] and 491 others"),
    ],
)
@pytest.mark.parametrize("schema", [pa.schema({"a": pa.int64(), "b": pa.int64()}), DOUBLES])
def test_keys_that_may_be_values_of_rows_are_not_shown_and_others_are_few(
    rows: list[Any], says: str, schema: pa.Schema
) -> None:
    with pytest.raises(PredictionShapeError, match=says) as refused:
        to_batch({None: rows}, schema, len(rows))
    assert "Alice" not in str(refused.value)
    assert "Bob" not in str(refused.value)
    assert len(str(refused.value)) < 500
