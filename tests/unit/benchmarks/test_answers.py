"""Whether two engines answered the same."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.answers import difference, read_answers
from benchmarks.workload import Workload

IDS = [1, 2, 3]


def _table(predictions: pa.Array) -> pa.Table:
    return pa.table({"id": IDS, "prediction": predictions})


def _workload() -> Workload:
    names = (
        "model_uri",
        "udf_uri",
        "model_folder",
        "tracking_uri",
        "source",
        "feeds",
        "dtype",
        "method",
        "raw_type",
        "name",
    )
    return Workload(
        **dict.fromkeys(names, ""),
        rows=3,
        files=2,
        features=(),
        labels=(),
        keep=("id",),
        outputs=(("prediction", "double"),),
        tolerance=0.0,
        spark_conf=(),
        batch_rows=10,
    )


def test_answers_are_compared_by_id_whatever_the_order_of_files_and_rows(tmp_path: Path) -> None:
    pq.write_table(pa.table({"prediction": [3.0], "id": [3]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"id": [2, 1], "prediction": [2.0, 1.0]}), tmp_path / "b.parquet")
    answers = read_answers(tmp_path, _workload())
    assert difference(answers, _table(pa.array([1.0, 2.0, 3.0])), tolerance=0.0) is None


@pytest.mark.parametrize(
    "other", [[1.0, 2.0, 3.0 + 1e-9], [1.0, 2.0, None], [3.0, 2.0, 1.0]], ids=["last bit", "null", "order"]
)
def test_one_other_value_is_a_difference(other: list[float | None]) -> None:
    found = difference(_table(pa.array(other)), _table(pa.array([1.0, 2.0, 3.0])), tolerance=0.0)
    assert found == "other values in 'prediction'"


def test_a_tolerance_lets_the_last_bits_differ_and_no_more() -> None:
    expected = _table(pa.array([1.0, 2.0, 3.0]))
    assert difference(_table(pa.array([1.0, 2.0, 3.0 + 1e-9])), expected, tolerance=1e-8) is None
    assert difference(_table(pa.array([1.0, 2.0, 3.1])), expected, tolerance=1e-8) is not None


def test_lists_are_compared_value_by_value_and_length_by_length() -> None:
    expected = _table(pa.array([[1.0], [2.0, 3.0], []], pa.list_(pa.float64())))
    large = _table(pa.array([[1.0], [2.0, 3.0], []], pa.large_list(pa.float64())))
    shifted = _table(pa.array([[1.0, 2.0], [3.0], []], pa.list_(pa.float64())))
    assert difference(large, expected, tolerance=1e-6) is None
    assert difference(shifted, expected, tolerance=1e-6) is not None


def test_long_texts_and_texts_are_the_same() -> None:
    expected = _table(pa.array(["a", "b", None]))
    assert difference(_table(pa.array(["a", "b", None], pa.large_string())), expected, tolerance=0.0) is None
    assert difference(_table(pa.array(["a", "b", "c"])), expected, tolerance=0.0) is not None


def test_another_type_is_a_difference() -> None:
    found = difference(_table(pa.array([1, 2, 3])), _table(pa.array([1.0, 2.0, 3.0])), tolerance=0.1)
    assert found == "other values in 'prediction'"


def test_missing_rows_are_a_difference() -> None:
    assert difference(_table(pa.array(IDS)).slice(1), _table(pa.array(IDS)), tolerance=0.0) == "2 rows instead of 3"


def test_a_workload_survives_json() -> None:
    assert Workload.from_json(_workload().to_json()) == _workload()
