"""SQL into terms, and what only Spark evaluates; `tests/spark/test_where.py` compares the meaning with Spark's."""

from __future__ import annotations

import pickle
from datetime import date
from decimal import Decimal

import pyarrow as pa
import pytest

from spark_infer.tables.where.sql import OnlySpark, condition
from spark_infer.tables.where.terms import AllOf, AnyOf, Compares, IsNull, IsTrue, Not, OneOf, Term, columns_of

SCHEMA = pa.schema(
    [
        ("i", pa.int32()),
        ("f", pa.float32()),
        ("d", pa.float64()),
        ("money", pa.decimal128(10, 2)),
        ("s", pa.string()),
        ("yes", pa.bool_()),
        ("day", pa.date32()),
        ("moment", pa.timestamp("us", tz="UTC")),
        ("a b", pa.int64()),
        pa.field("odd", pa.null(), metadata={"unsupported": "variant"}),
    ]
)


@pytest.mark.parametrize(
    ("text", "term"),
    [
        ("i = 1", Compares("i", "=", 1)),
        ("I < -5", Compares("i", "<", -5)),
        ("5 >= i", Compares("i", "<=", 5)),
        ("i != 1", Not(Compares("i", "=", 1))),
        ("f > 0.5", Compares("f", ">", 0.5)),
        ("d = 1e-3", Compares("d", "=", 0.001)),
        ("money <= 1.50", Compares("money", "<=", Decimal("1.50"))),
        ("s = 'é'", Compares("s", "=", "é")),
        ('s = "x"', Compares("s", "=", "x")),
        ("day >= '2026-01-31'", Compares("day", ">=", date(2026, 1, 31))),
        ("day >= DATE '2026-01-31'", Compares("day", ">=", date(2026, 1, 31))),
        ("`a b` IS NOT NULL", Not(IsNull("a b"))),
        ("yes AND NOT (yes = false)", AllOf((IsTrue("yes"), Not(Compares("yes", "=", False))))),
        ("i IN (1, 2) OR i IS NULL", AnyOf((OneOf("i", (1, 2)), IsNull("i")))),
        ("i BETWEEN 1 AND 2", AllOf((Compares("i", ">=", 1), Compares("i", "<=", 2)))),
        ("i <=> 1", AllOf((Not(IsNull("i")), Compares("i", "=", 1)))),
        ("i <=> NULL", IsNull("i")),
        ("moment IS NULL", IsNull("moment")),
    ],
)
def test_a_plain_condition_is_read(text: str, term: Term) -> None:
    assert condition(text, SCHEMA) == term


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("i + 1 = 2", "'add'"),
        ("length(s) = 2", "'length'"),
        ("my_function(s)", "the function my_function"),
        ("i = f", "another column"),
        ("i = '1'", "i (int32) is compared with a literal of another type"),
        ("i = 1.0", "a literal of another type"),
        ("i = 9223372036854775808", "a literal of another type"),
        ("i = NULL", "NULL"),
        ("i IN (1, NULL)", "NULL"),
        ("i IN (SELECT 1)", "IN over something else"),
        ("f = 16777217", "may round"),
        ("money = 1.005", "cannot hold"),
        ("moment > '2026-01-01'", "moment (timestamp"),
        ("day > '2026-1-1'", "day (date32"),
        ("day > '2026-02-30'", "day (date32"),
        ("s LIKE 'a%'", "'like'"),
        ("s = 'it\\'s'", "\\"),
        ("s = r'a'", "literal of another type|'raw string'"),
        ("!yes", "!"),
        ("s = '${env}'", "${…}"),
        ("yes > false", "by order"),
        ("i", "alone is no condition"),
        ("missing = 1", "'missing' is not a column"),
        ("t.i = 1", "not a column of the table itself"),
        ("odd IS NULL", "Arrow cannot carry"),
        ("i = 1; i = 2", ";"),
        ("i = 1 -- or so", "a comment"),
        ("i = 1 /* or so */", "a comment"),
        ("i ISNULL", "ISNULL or NOTNULL"),
        ("i notnull", "ISNULL or NOTNULL"),
        ("i BETWEEN ASYMMETRIC 1 AND 2", "SYMMETRIC or ASYMMETRIC"),
        ("i IN (1, 2, )", "a comma before a bracket"),
        ("ﬀ = 1", "not in backquotes"),
        ("\u017f = 'a'", "not in backquotes"),
        ("`\u017f` = 'a'", "is not a column of the table"),
        ("d < 0." + "1" * 40, "a literal of another type"),
        ("NOT " * 400 + "i = 1", "nested too deeply"),
        ("(" * 300 + "i = 1" + ")" * 300, "nested too deeply"),
        ("i = = 1", "does not parse"),
        ("", "not one condition"),
        ("current_date() > day", "'current date'"),
        ("CAST(i AS STRING) = '1'", "'try cast'"),
    ],
)
def test_what_only_spark_evaluates_is_named(text: str, reason: str) -> None:
    with pytest.raises(OnlySpark) as caught:
        condition(text, SCHEMA)
    assert any(part in str(caught.value) for part in reason.split("|")), str(caught.value)


def test_a_session_setting_that_changes_the_meaning_is_heeded() -> None:
    twins = pa.schema([("x", pa.int64()), ("X", pa.int64())])
    assert condition("X = 1", twins, case_sensitive=True) == Compares("X", "=", 1)
    with pytest.raises(OnlySpark, match="more than one column"):
        condition("X = 1", twins)
    with pytest.raises(OnlySpark, match="takes for a name"):
        condition('s = "x"', SCHEMA, double_quoted_names=True)


def test_a_long_chain_is_no_deeper_than_a_short_one() -> None:
    found = condition(" OR ".join(f"i = {number}" for number in range(3000)), SCHEMA)
    assert isinstance(found, AnyOf)
    assert found.terms == tuple(Compares("i", "=", number) for number in range(3000))
    assert pickle.loads(pickle.dumps(found)) == found
    mixed = condition("i = 1 AND i = 2 AND (i = 3 OR i = 4 OR yes)", SCHEMA)
    assert mixed == AllOf(
        (
            Compares("i", "=", 1),
            Compares("i", "=", 2),
            AnyOf((Compares("i", "=", 3), Compares("i", "=", 4), IsTrue("yes"))),
        )
    )


def test_the_columns_of_a_condition_are_named_once() -> None:
    assert columns_of(condition("i = 1 AND (d > 2 OR NOT i < 5 OR TRUE)", SCHEMA)) == ("i", "d")
