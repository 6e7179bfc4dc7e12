"""A SQL condition into terms, where these mean to the last row what Spark's evaluation means.

What is not known to be the same is refused by name: functions, arithmetic, casts, subqueries, columns beside columns,
timestamps (whose literals depend on the session's time zone), and literals that Spark would have to cast.
https://spark.apache.org/docs/latest/sql-ref-ansi-compliance.html has the casts;
https://spark.apache.org/docs/latest/sql-ref-datatypes.html, "NaN Semantics", the order of floating-point numbers.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import pyarrow as pa

from spark_infer.errors import nearest
from spark_infer.tables.where.terms import AllOf, Always, AnyOf, Compares, IsNull, IsTrue, Not, OneOf, Term, Value

_EXACT_IN_FLOAT32 = 2**24
_MOST_DIGITS = 38
_DEEPEST = 50
_TOO_DEEP = "it is nested too deeply"
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_FLIPPED = {"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_ODD = {
    "!": re.compile(r"!(?!=)"),
    "\\": re.compile(r"\\"),
    "${…}": re.compile(r"\$"),
    ";": re.compile(";"),
    "a comment": re.compile(r"--|/\*"),
    "ISNULL or NOTNULL": re.compile(r"\b(is|not)null\b", re.IGNORECASE),
    "SYMMETRIC or ASYMMETRIC": re.compile(r"\ba?symmetric\b", re.IGNORECASE),
    "a comma before a bracket": re.compile(r",\s*\)"),
}
"""What Spark's settings give another meaning, binds otherwise than the parser used here, or does not take at all."""

_PLAIN_WORDS = {
    "Boolean": "a Boolean",
    "Column": "another column",
    "Literal": "a literal of another type",
    "Neg": "a number",
    "Null": "NULL",
}


class OnlySpark(ValueError):
    """The condition has a part that only Spark evaluates; the message names it in a clause."""


class UnknownColumn(OnlySpark):
    """The condition names a column that the table does not have, which Spark would not find either."""


def condition(text: str, schema: pa.Schema, *, case_sensitive: bool = False, double_quoted_names: bool = False) -> Term:
    """Parse a condition.

    Args:
        text: SQL, as Spark takes it.
        schema: The table's columns, as Spark hands them to Python.
        case_sensitive: Whether two names that differ in case are two columns.
        double_quoted_names: Whether a session takes ``"a"`` for a column.

    Raises:
        OnlySpark: Some part of it is beyond what is known here to be the same.
    """
    try:
        import sqlglot
    except ImportError as error:
        raise OnlySpark("the package sqlglot, which reads it, is not installed") from error
    for shown, pattern in _ODD.items():
        if pattern.search(text):
            raise OnlySpark(f"it has {shown}")
    if double_quoted_names and '"' in text:
        raise OnlySpark('it has ", which the session takes for a name')
    try:
        found = sqlglot.parse(text, dialect="spark")
        if len(found) != 1 or found[0] is None:
            raise OnlySpark("it is not one condition")
        return _Reader(schema, case_sensitive=case_sensitive).term(found[0])
    except sqlglot.errors.SqlglotError as error:
        raise OnlySpark("it does not parse as a plain condition") from error
    except RecursionError as error:
        raise OnlySpark(_TOO_DEEP) from error


def canonical(text: str) -> str:
    """Return a condition in one spelling: blanks and case of keywords do not count. Unchanged if it does not parse."""
    import sqlglot

    try:
        return sqlglot.parse_one(text, dialect="spark").sql(dialect="spark", comments=False)
    except (sqlglot.errors.SqlglotError, RecursionError):
        return text


class _Reader:
    """Turns sqlglot's tree into terms, one kind of node at a time."""

    def __init__(self, schema: pa.Schema, *, case_sensitive: bool) -> None:
        self._schema = schema
        self._fold: Callable[[str], str] = str if case_sensitive else str.lower
        self._depth = 0

    def term(self, node: Any) -> Term:
        """Read a node that is true, false or null."""
        read = getattr(self, f"_{type(node).__name__.lower()}", None)
        if read is None:
            raise OnlySpark(f"it has {_shown(node)}")
        if self._depth == _DEEPEST:
            raise OnlySpark(_TOO_DEEP)
        self._depth += 1
        found: Term = read(node)
        self._depth -= 1
        return found

    def _paren(self, node: Any) -> Term:
        return self.term(node.this)

    def _and(self, node: Any) -> Term:
        return AllOf(tuple(map(self.term, _chained(node))))

    def _or(self, node: Any) -> Term:
        return AnyOf(tuple(map(self.term, _chained(node))))

    def _not(self, node: Any) -> Term:
        return Not(self.term(node.this))

    def _boolean(self, node: Any) -> Term:
        return Always(bool(node.this))

    def _column(self, node: Any) -> Term:
        field = self._field(node)
        if not pa.types.is_boolean(field.type):
            raise OnlySpark(f"{field.name} alone is no condition")
        return IsTrue(field.name)

    def _eq(self, node: Any) -> Term:
        return self._compared(node, "=")

    def _neq(self, node: Any) -> Term:
        return Not(self._compared(node, "="))

    def _lt(self, node: Any) -> Term:
        return self._compared(node, "<")

    def _lte(self, node: Any) -> Term:
        return self._compared(node, "<=")

    def _gt(self, node: Any) -> Term:
        return self._compared(node, ">")

    def _gte(self, node: Any) -> Term:
        return self._compared(node, ">=")

    def _nullsafeeq(self, node: Any) -> Term:
        if type(node.expression).__name__ == "Null":
            return IsNull(self._field(node.this).name)
        equal = self._compared(node, "=")
        return AllOf((Not(IsNull(equal.column)), equal))

    def _is(self, node: Any) -> Term:
        field, kind = self._field(node.this), type(node.expression).__name__
        if kind == "Null":
            return IsNull(field.name)
        if kind == "Boolean" and pa.types.is_boolean(field.type):
            plain = IsTrue(field.name)
            return AllOf((Not(IsNull(field.name)), plain if node.expression.this else Not(plain)))
        raise OnlySpark(f"it has IS {_shown(node.expression)}")

    def _between(self, node: Any) -> Term:
        if node.args.get("symmetric"):
            raise OnlySpark("it has BETWEEN SYMMETRIC")
        field = self._field(node.this)
        low, high = (_value(node.args[side], field) for side in ("low", "high"))
        _refuse_order(field)
        return AllOf((Compares(field.name, ">=", low), Compares(field.name, "<=", high)))

    def _in(self, node: Any) -> Term:
        if not node.expressions or any(node.args.get(other) for other in ("query", "unnest", "field")):
            raise OnlySpark("it has IN over something else than a list")
        field = self._field(node.this)
        return OneOf(field.name, tuple(_value(each, field) for each in node.expressions))

    def _compared(self, node: Any, op: str) -> Compares:
        left, right = node.this, node.expression
        if type(left).__name__ != "Column" and type(right).__name__ == "Column":
            left, right, op = right, left, _FLIPPED[op]
        field = self._field(left)
        if op != "=":
            _refuse_order(field)
        return Compares(field.name, op, _value(right, field))

    def _field(self, node: Any) -> pa.Field:
        if type(node).__name__ != "Column":
            raise OnlySpark(f"it has {_shown(node)}")
        if any(value for name, value in node.args.items() if name != "this") or node.this.args.get("temporary"):
            raise OnlySpark(f"{node.sql()} is not a column of the table itself")
        if not node.this.quoted and not node.name.isascii():
            raise OnlySpark(f"{node.name} is not in backquotes")
        wanted = self._fold(node.name)
        found = [field for field in self._schema if self._fold(field.name) == wanted]
        if not found:
            raise UnknownColumn(f"{node.name!r} is not a column of the table{nearest(node.name, self._schema.names)}")
        if len(found) > 1:
            raise OnlySpark(f"{node.name!r} is more than one column of the table")
        if pa.types.is_null(found[0].type):
            raise OnlySpark(f"{node.name!r} is of a type that Arrow cannot carry")
        return found[0]


def _chained(node: Any) -> list[Any]:
    """The parts of a chain of ANDs, or of ORs, in their order: however long, it is no deeper than one."""
    parts, left = [], [node]
    while left:
        each = left.pop()
        if type(each) is type(node):
            left += [each.expression, each.this]
        else:
            parts.append(each)
    return parts


def _refuse_order(field: pa.Field) -> None:
    if pa.types.is_boolean(field.type):
        raise OnlySpark(f"{field.name} is boolean and is compared by order")


def _value(node: Any, field: pa.Field) -> Value:
    """Convert a literal to what a column of this type is compared with.

    Raises:
        OnlySpark: Spark would cast the literal or the column in a way that is not the same here.
    """
    types, kind = pa.types, field.type
    if types.is_boolean(kind) and type(node).__name__ == "Boolean":
        return bool(node.this)
    if types.is_string(kind) and (text := _text(node)) is not None:
        return text
    if types.is_date32(kind) and (text := _date_text(node)) is not None:
        return date.fromisoformat(text)
    number = _number(node)
    if number is not None:
        if types.is_integer(kind) and isinstance(number, int) and -(2**63) <= number < 2**63:
            return number
        if types.is_floating(kind) and not types.is_float16(kind):
            return _float(number, kind)
        if types.is_decimal128(kind) and not isinstance(number, float):
            return _decimal(Decimal(number), kind, field)
    raise OnlySpark(f"{field.name} ({kind}) is compared with {_shown(node)}")


def _text(node: Any) -> str | None:
    is_cast = type(node).__name__ in ("Cast", "TryCast") and node.to.sql() == "TEXT"
    if is_cast and type(node.this).__name__ == "HexString":
        return bytes.fromhex(node.this.this).decode()  # CAST(X'…' AS STRING), as parameters are written
    return str(node.this) if type(node).__name__ == "Literal" and node.is_string else None


def _date_text(node: Any) -> str | None:
    if type(node).__name__ == "Cast" and node.to.sql() == "DATE":  # DATE '2026-01-31'
        node = node.this
    text = _text(node)
    try:
        return text if text and _DATE.fullmatch(text) and date.fromisoformat(text) else None
    except ValueError:
        return None


def _number(node: Any) -> int | float | Decimal | None:
    """A literal as Spark types it: digits are integers, with a point decimals, with an exponent doubles."""
    sign = ""
    if type(node).__name__ == "Neg":
        sign, node = "-", node.this
    if type(node).__name__ != "Literal" or node.is_string:
        return None
    text = sign + str(node.this)
    if re.fullmatch(r"-?\d+", text):
        return int(text)
    if re.fullmatch(r"-?(\d+\.\d*|\.\d+)", text):
        return Decimal(text) if len(re.findall(r"\d", text)) <= _MOST_DIGITS else None
    return float(text) if re.fullmatch(r"-?(\d+\.?\d*|\.\d+)[eE][+-]?\d+", text) else None


def _float(number: int | float | Decimal, kind: pa.DataType) -> float:
    if pa.types.is_float32(kind) and isinstance(number, int) and abs(number) > _EXACT_IN_FLOAT32:
        raise OnlySpark(f"a float is compared with {number}, which Spark may round")
    try:
        found = float(number)
    except OverflowError:
        found = float("inf")
    if abs(found) == float("inf"):
        raise OnlySpark("a number is too large")
    return found


def _decimal(number: Decimal, kind: pa.DataType, field: pa.Field) -> Decimal:
    try:
        pa.scalar(number, kind)
    except pa.ArrowInvalid:
        raise OnlySpark(f"{field.name} ({kind}) is compared with a number that it cannot hold") from None
    return number


def _shown(node: Any) -> str:
    """A part of the condition, for the reader of a plan; no more of it than its kind."""
    name = type(node).__name__
    if name in _PLAIN_WORDS:
        return _PLAIN_WORDS[name]
    words = re.sub(r"(?<!^)(?=[A-Z][a-z])", " ", name).lower()
    return f"the function {node.name}" if name == "Anonymous" else f"{words!r}"
