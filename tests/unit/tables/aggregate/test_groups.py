"""Summaries of groups: the same however the rows were cut, as Spark has nulls and NaN, and bounded."""

from __future__ import annotations

import math
import statistics
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from spark_infer.config import AggregateConfig
from spark_infer.errors import TooManyGroupsError, WriteError
from spark_infer.tables.aggregate.groups import Groups
from spark_infer.tables.aggregate.measures import measures_of

NAN = float("nan")


def groups_of(table: pa.Table, by: str, columns: dict[str, str], *, most: int = 100) -> Groups:
    config = AggregateConfig(path="s", by=by or (), columns=columns)
    keys = pa.schema([table.schema.field(by)] if by else [])
    return Groups(keys, measures_of(config, table.schema), most=most)


def summary(table: pa.Table, by: str, columns: dict[str, str], cuts: tuple[int, ...] = ()) -> list[dict[str, Any]]:
    """The summary of a table whose rows come in batches, each of them a task of its own."""
    whole = groups_of(table, by, columns)
    for start, stop in zip((0, *cuts), (*cuts, table.num_rows), strict=True):
        task = groups_of(table, by, columns)
        for batch in table.slice(start, stop - start).to_batches(max_chunksize=2):
            task.add_rows(dict(zip(batch.schema.names, batch.columns, strict=True)), batch.num_rows)
        whole.add(task.part())
    found: list[dict[str, Any]] = whole.summary().to_pylist()
    return found


ROWS = pa.table(
    {
        "g": ["a", "b", None, "a", "a", None, "b", "c"],
        "x": [1.0, NAN, 4.0, 2.0, None, 6.0, 3.0, None],
        "n": pa.array([5, 7, 1, -5, None, 3, 2, None], pa.int32()),
        "d": pa.array([Decimal("0.10"), None, Decimal("2.50"), Decimal("0.20"), None, None, Decimal("1.00"), None]),
    }
)


@pytest.mark.parametrize("cuts", [(), (1,), (3, 4), (1, 2, 3, 4, 5, 6, 7)])
def test_nulls_are_left_out_and_nan_is_the_largest_number(cuts: tuple[int, ...]) -> None:
    columns = {
        "rows": "count",
        "known": "count(x)",
        "low": "min(x)",
        "high": "max(x)",
        "mean": "avg(x)",
        "all": "sum(x)",
    }
    found = {row.pop("g"): row for row in summary(ROWS, "g", columns, cuts)}
    assert [*found] == ["a", "b", "c", None]
    assert found["a"] == {"rows": 3, "known": 2, "low": 1.0, "high": 2.0, "mean": 1.5, "all": 3.0}
    assert found[None] == {"rows": 2, "known": 2, "low": 4.0, "high": 6.0, "mean": 5.0, "all": 10.0}
    assert found["c"] == {"rows": 1, "known": 0, "low": None, "high": None, "mean": None, "all": None}
    assert (found["b"]["known"], found["b"]["low"]) == (2, 3.0)
    assert all(math.isnan(found["b"][name]) for name in ("high", "mean", "all"))


@pytest.mark.parametrize("cuts", [(), (2, 5)])
def test_whole_numbers_and_decimals_are_added_exactly(cuts: tuple[int, ...]) -> None:
    columns = {"n": "sum(n)", "d": "sum(d)", "mean": "avg(d)", "most": "max(n)"}
    found = {row.pop("g"): row for row in summary(ROWS, "g", columns, cuts)}
    assert found["a"] == {"n": 0, "d": Decimal("0.30"), "mean": 0.15, "most": 5}
    assert found["c"] == {"n": None, "d": None, "mean": None, "most": None}
    large = pa.table({"n": [2**62, 2**62, -(2**62)]})
    assert summary(large, "", {"n": "sum(n)"}) == [{"n": 2**62}]
    with pytest.raises(WriteError, match="too large"):
        summary(large.slice(0, 2), "", {"n": "sum(n)"})


def test_a_deviation_keeps_its_digits_far_from_zero() -> None:
    values = [1e9 + each for each in (4.0, 7.0, 13.0, 16.0, 4.0, 8.0, 15.0, 16.0, 23.0)]
    table = pa.table({"x": [*values, None]})
    for cuts in ((), (1, 4), (9,), tuple(range(1, 10))):
        found = summary(table, "", {"spread": "stddev(x)"}, cuts)[0]["spread"]
        # Of the sums of squares alone nothing would be left: they have no digit for what is below 128.
        assert math.isclose(found, statistics.stdev(values), rel_tol=1e-8)
    assert summary(table.slice(0, 1), "", {"spread": "stddev(x)"}) == [{"spread": None}]


@pytest.mark.parametrize("cuts", [(), (1,), (2, 3)])
def test_a_sum_of_decimals_is_exact_or_an_error(cuts: tuple[int, ...]) -> None:
    kind = pa.decimal128(38, 0)
    large = pa.table({"d": pa.array([Decimal(9 * 10**37)] * 3 + [Decimal(-(10**38 - 1))] * 3, kind)})
    with pytest.raises(WriteError, match=r"The sum s of `aggregate` is too large for decimal128\(38, 0\)"):
        summary(large.slice(0, 3), "", {"s": "sum(d)"}, cuts)
    total = Decimal(3 - 3 * 10**37)
    assert summary(large, "", {"s": "sum(d)", "m": "avg(d)"}, cuts) == [{"s": total, "m": float(total) / 6}]
    assert summary(large.slice(0, 3), "", {"m": "avg(d)"}, cuts) == [{"m": 9e37}]


@pytest.mark.parametrize("cuts", [(), (1,), (2, 3)])
@pytest.mark.parametrize("value", [1e15 + 0.3, 1e308, 0.1])
def test_equal_numbers_have_no_deviation(value: float, cuts: tuple[int, ...]) -> None:
    table = pa.table({"g": ["a", "a", "b", "a", "a", "b", "a", "b"], "x": [value] * 7 + [None]})
    rows = table.num_rows
    config = {"spread": "stddev(x)"}
    assert summary(table, "g", config, cuts) == [{"g": "a", "spread": 0.0}, {"g": "b", "spread": 0.0}]
    at_once = groups_of(table, "g", config)
    at_once.add_rows({name: table.column(name).combine_chunks() for name in table.column_names}, rows)
    assert at_once.summary().column("spread").to_pylist() == [0.0, 0.0]


def test_a_deviation_is_of_doubles_also_for_whole_numbers_and_decimals() -> None:
    columns = {"n": pa.array([2**53 + 1, 2**53 + 1 + 2**30, None]), "d": pa.array([Decimal("0.5"), Decimal(2), None])}
    found = summary(pa.table(columns), "", {"n": "stddev(n)", "d": "stddev(d)"})[0]
    assert math.isclose(found["n"], 2**30 / math.sqrt(2), rel_tol=1e-8)
    assert math.isclose(found["d"], 1.5 / math.sqrt(2))


def test_conditions_count_where_they_are_true() -> None:
    table = pa.table({"x": [0.95, 0.2, None, NAN, 1.0], "s": ["a", "b", "a", None, "a"]})
    columns = {"high": "count_if(x > 0.9)", "a": "COUNT_IF(s = 'a' AND x > 0)", "every": "count_if(TRUE)"}
    assert summary(table, "", columns, (2,)) == [{"high": 3, "a": 2, "every": 5}]


def test_no_rows_make_no_group() -> None:
    assert summary(ROWS.slice(0, 0), "g", {"rows": "count"}) == []
    assert groups_of(ROWS, "", {"rows": "count", "spread": "stddev(x)"}).summary().num_rows == 0


def test_too_many_groups_are_an_error() -> None:
    table = pa.table({"g": range(11)})
    groups = groups_of(table, "g", {"rows": "count"}, most=10)
    groups.add_rows({"g": table.column("g").chunk(0)}, 11)
    with pytest.raises(TooManyGroupsError, match="11 groups or more, and a summary has at most 10"):
        groups.part()


def test_parts_are_put_together_before_they_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spark_infer.tables.aggregate.groups._HELD_ROWS", 4)
    table = pa.table({"g": [0, 1, 2]})
    groups = groups_of(table, "g", {"rows": "count"})
    for _ in range(50):
        groups.add_rows({"g": table.column("g").chunk(0)}, 3)
    assert len(groups._held) < 4
    assert groups.summary().to_pylist() == [{"g": key, "rows": 50} for key in range(3)]
