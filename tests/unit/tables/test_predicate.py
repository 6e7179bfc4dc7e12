"""Partition values become SQL literals of the column's type, or are refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_infer.config import PartitionValue
from spark_infer.tables.predicate import literal, partition_scope, quote_name, quote_table, these_partitions


@pytest.mark.parametrize(
    ("value", "type_name", "text", "sql"),
    [
        (10, "int", "10", "10"),
        ("10", "bigint", "10", "10"),
        (-128, "tinyint", "-128", "-128"),
        (True, "boolean", "true", "TRUE"),
        ("001", "string", "001", "'001'"),
        ("a'b", "string", "a'b", "CAST(X'612762' AS STRING)"),
        ("${x}", "string", "${x}", "CAST(X'247b787d' AS STRING)"),
        ("2013-10-01", "date", "2013-10-01", "CAST('2013-10-01' AS date)"),
        ("1.50", "decimal(4,2)", "1.5", "CAST('1.5' AS decimal(4,2))"),
        (None, "int", None, "NULL"),
    ],
)
def test_a_value_of_the_columns_type_is_printed_anew(
    value: PartitionValue, type_name: str, text: str | None, sql: str
) -> None:
    found = literal(value, type_name)
    assert (found.text, found.sql) == (text, sql)


@pytest.mark.parametrize(
    ("value", "type_name", "why"),
    [
        (1, "string", "write '1' in quotes"),
        ("", "string", "stored as null"),
        ("010", "int", "'010' is not of"),
        ("1; DROP TABLE t", "int", "is not of"),
        (128, "tinyint", "is not of"),
        (True, "int", "is not of"),
        (1, "boolean", "is not of"),
        ("yesterday", "date", "is not of"),
        ("x'", "decimal(4,2)", "is not of"),
        ("2013-10-01", "timestamp", "cannot be named one by one"),
        ("1.5", "double", "cannot be named one by one"),
    ],
)
def test_a_value_of_another_type_is_refused_with_the_reason(value: PartitionValue, type_name: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        literal(value, type_name)


@given(st.text(min_size=1))
def test_no_text_can_leave_its_quotes(text: str) -> None:
    try:
        sql = literal(text, "string").sql
    except UnicodeEncodeError:  # half of a surrogate pair is no text
        return
    if sql.startswith("'"):
        assert sql == f"'{text}'"
        assert not set(text) & set("'\\$\"\n")
    else:
        assert bytes.fromhex(sql.removeprefix("CAST(X'").removesuffix("' AS STRING)")).decode() == text


@given(st.text())
def test_a_quoted_name_is_one_name(name: str) -> None:
    quoted = quote_name(name)
    assert quoted[0] == quoted[-1] == "`"
    assert quoted[1:-1].replace("``", "") == name.replace("`", "")


def test_a_scope_is_sql_and_knows_its_folders_and_lists_every_problem() -> None:
    scope, problems = partition_scope({"Year": [2013, None], "place": ["a"]}, {"year": "int", "place": "string"})
    assert problems == []
    assert scope.sql == "(`year` IN (2013) OR `year` IS NULL) AND (`place` IN ('a'))"
    assert scope.holds({"year": "2013", "place": "a"})
    assert scope.holds({"year": None, "place": "a"})
    assert scope.holds({"year": "02013", "place": "a"})  # the same integer, written otherwise
    assert not scope.holds({"year": "2014", "place": "a"})
    assert not scope.holds({"year": "2013", "place": None})

    _, problems = partition_scope({"yaer": [1], "year": [], "place": [1, ""]}, {"year": "int", "place": "string"})
    assert [problem.split(":")[0].split(" (")[0] for problem in problems] == [
        "'yaer' is no partition column",
        "year",
        "place",
        "place",
    ]


def test_partitions_are_named_each_once_whatever_their_values_are() -> None:
    days = [{"day": "2026-11-30", "`n": None}, {"day": "2026-11-30", "`n": None}, {"day": None, "`n": "o'1"}]
    assert these_partitions(days, {"day": "date", "`n": "string"}) == (
        "(`day` <=> CAST('2026-11-30' AS date) AND ```n` <=> NULL) OR "
        "(`day` <=> NULL AND ```n` <=> CAST(CAST(X'6f2731' AS STRING) AS string))"
    )


@pytest.mark.parametrize("name", ["t", "s.t", "c.s.t", "`a.b`.`c``d`"])
def test_a_table_name_is_quoted_part_by_part(name: str) -> None:
    expected = {"t": "`t`", "s.t": "`s`.`t`", "c.s.t": "`c`.`s`.`t`"}
    assert quote_table(name) == expected.get(name, name)


@pytest.mark.parametrize("name", ["", "a.b.c.d", "a b", "t; DROP TABLE x", "a..b", ".a", "a.", "`a", "a`b`"])
def test_what_is_no_table_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is no table name"):
        quote_table(name)
