"""What statistics leave out holds no row that is asked for."""

from __future__ import annotations

import io
import json
import math
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_infer.tables.listing import SourceFile
from spark_infer.tables.scan.prune import file_may_hold, groups_that_may_hold
from spark_infer.tables.where.mask import kept, outcome
from spark_infer.tables.where.prune import UNKNOWN, Bounds, may_hold
from spark_infer.tables.where.sql import condition
from spark_infer.tables.where.terms import AllOf, AnyOf, Compares, IsNull, IsTrue, Not, OneOf, Term

SCHEMA = pa.schema([("i", pa.int16()), ("d", pa.float64()), ("s", pa.string()), ("yes", pa.bool_())])
VALUES = {
    "i": st.integers(-3, 3),
    "d": st.sampled_from([0.0, -0.0, 1.5, -1.5, math.inf, -math.inf]),
    "s": st.sampled_from(["", "a", "b", "é", "\U0001f600", "￿"]),
    "yes": st.booleans(),
}
ROWS = st.lists(
    st.fixed_dictionaries(
        {name: st.none() | (values | st.just(math.nan) if name == "d" else values) for name, values in VALUES.items()}
    ),
    max_size=12,
)


def compared(name: str) -> st.SearchStrategy[Term]:
    ops = st.sampled_from(["="] if name == "yes" else ["=", "<", "<=", ">", ">="])
    return st.builds(Compares, st.just(name), ops, VALUES[name])


LEAVES = st.one_of(
    *map(compared, VALUES),
    *(st.builds(OneOf, st.just(name), st.lists(VALUES[name], min_size=1).map(tuple)) for name in VALUES),
    st.builds(IsNull, st.sampled_from(list(VALUES))),
    st.just(IsTrue("yes")),
)
TERMS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(AllOf, st.tuples(inner, inner)),
        st.builds(AnyOf, st.tuples(inner, inner)),
    ),
    max_leaves=6,
)


@given(ROWS, TERMS)
def test_row_groups_that_are_left_out_hold_no_row_of_the_condition(rows: list[dict[str, object]], term: Term) -> None:
    stream = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), stream, row_group_size=2)
    file = pq.ParquetFile(stream)
    groups = list(range(file.num_row_groups))
    read = groups_that_may_hold(file.metadata, groups, term, {name: name for name in SCHEMA.names}, {})
    for group in set(groups) - set(read):
        for batch in file.read_row_group(group).to_batches():
            assert kept(term, batch).num_rows == 0


@given(ROWS, TERMS)
def test_a_row_is_kept_where_the_condition_is_true_whatever_batch_it_is_in(
    rows: list[dict[str, object]], term: Term
) -> None:
    whole = pa.RecordBatch.from_pylist(rows, schema=SCHEMA)
    alone = [kept(term, whole.slice(at, 1)).num_rows == 1 for at in range(len(rows))]
    assert alone == [value is True for value in outcome(term, whole).to_pylist()]
    assert kept(term, whole).num_rows == sum(alone)


def test_nan_is_above_every_number_and_null_is_neither() -> None:
    rows = pa.RecordBatch.from_pydict({"d": [1.0, math.nan, None]})
    assert outcome(Compares("d", ">", 5.0), rows).to_pylist() == [False, True, None]
    assert outcome(Not(Compares("d", ">", 5.0)), rows).to_pylist() == [True, False, None]


def test_zero_is_one_number_also_in_a_list() -> None:
    rows = pa.RecordBatch.from_pydict({"d": [0.0, -0.0, 1.0]})
    assert outcome(OneOf("d", (0.0, 7.0)), rows).to_pylist() == [True, True, False]
    assert outcome(OneOf("d", (-0.0,)), rows).to_pylist() == [True, True, False]


@pytest.mark.parametrize(
    ("text", "may"),
    [
        ("i > 9", False),
        ("i >= 9", True),
        ("i = 4", False),
        ("NOT i < 20", False),
        ("i IN (1, 12)", False),
        ("i IN (1, 7)", True),
        ("i IS NULL", False),
        ("d > 100", True),  # a NaN may be there, of which bounds say nothing
        ("d < -100", False),
        ("s > 'zz'", False),
        ("s IS NOT NULL", True),
        ("yes", True),
        ("day = '2026-01-01'", False),
        ("part = 'x'", False),
        ("part = 'y'", True),
        ("empty > 3", False),
        ("FALSE", False),
        ("i > 9 OR s > 'zz'", False),
        ("i > 9 OR part = 'y'", True),
    ],
)
def test_a_file_of_a_delta_log_is_left_out_by_its_statistics_and_partition_values(text: str, may: bool) -> None:
    statistics = {
        "numRecords": 10,
        "minValues": {"i": 5, "d": -1.5, "s": "a", "day": "2025-01-01"},
        "maxValues": {"i": 9, "d": 2.5, "s": "zz", "day": "2025-12-31"},
        "nullCount": {"i": 0, "d": 1, "s": 3, "day": 0, "empty": 10},
    }
    schema = pa.schema([*SCHEMA, ("day", pa.date32()), ("part", pa.string()), ("empty", pa.int64())])
    file = SourceFile("f.parquet", 100, {"part": "y"}, statistics=json.dumps(statistics))
    term = condition(text, schema)
    assert file_may_hold(file, term, schema, {"part": "string"}) is may


def test_a_file_without_statistics_is_read() -> None:
    assert file_may_hold(SourceFile("f.parquet", 1), Compares("i", "=", 1), SCHEMA, {})
    assert may_hold(Compares("i", "=", 1), lambda column: UNKNOWN)


def test_a_bound_of_another_type_says_nothing() -> None:
    for low in (True, "5", date(2026, 1, 1), math.nan):
        assert may_hold(Compares("i", "=", 1), lambda column, low=low: Bounds(low=low, high=low))  # type: ignore[misc]


def test_statistics_of_a_file_written_elsewhere_are_read(tmp_path: Path) -> None:
    pq.write_table(pa.table({"s": ["x" * 200, "y" * 200]}), tmp_path / "f.parquet")
    found = pq.read_metadata(tmp_path / "f.parquet")
    stored = {"s": "s"}
    assert groups_that_may_hold(found, [0], Compares("s", "=", "y" * 200), stored, {}) == [0]
    assert groups_that_may_hold(found, [0], Compares("s", ">", "z"), stored, {}) == []
    assert groups_that_may_hold(found, [0], Compares("p", "=", 1), stored, {"p": 2}) == []
