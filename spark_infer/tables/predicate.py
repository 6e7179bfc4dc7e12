"""SQL conditions on table partitions, built from typed literals.

Nothing a user wrote reaches Spark as SQL text unless it was parsed first: names are quoted, numbers and dates are
printed again from their parsed value, and text with a quote, a backslash or a ``$`` in it travels as hex.

A value must fit the column's type as it is. The folder ``p=001`` is no integer 1, so an integer is refused for a string
column rather than turned into text that may match nothing (YAML reads ``001`` as 1); text is taken for an integer
column when it is exactly how that integer is written. Timestamps and floating-point numbers are refused: how they are
written depends on the session's time zone and on rounding, so a literal may miss the folder it means.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from spark_infer.config import PartitionValue
from spark_infer.errors import nearest
from spark_infer.tables.scan.values import parsed

_INTEGER_BITS = {"tinyint": 8, "smallint": 16, "int": 32, "bigint": 64}
_DELTA_NAMES = {"byte": "tinyint", "short": "smallint", "integer": "int", "long": "bigint"}
_PLAIN_TEXT = re.compile(r"[^'\"\\$\x00-\x1f]*")


@dataclass(frozen=True)
class Literal:
    """One value of a partition column.

    Attributes:
        text: How the value is written in a folder's name and in Delta's log; None for null.
        sql: The value as a SQL literal of the column's type.
    """

    text: str | None
    sql: str


@dataclass(frozen=True)
class ScopeColumn:
    """The values of one partition column that a scope admits."""

    name: str
    type_name: str
    literals: tuple[Literal, ...]

    @property
    def sql(self) -> str:
        """The condition as SQL; true or false, for null too."""
        name = quote_name(self.name)
        values = ", ".join(literal.sql for literal in self.literals if literal.text is not None)
        terms = [f"{name} IN ({values})"] if values else []
        if any(literal.text is None for literal in self.literals):
            terms.append(f"{name} IS NULL")
        return "(" + " OR ".join(terms) + ")"

    def holds(self, text: str | None) -> bool:
        """Say whether a folder or a log entry with this value lies inside."""
        return any(canonical_text(text, self.type_name) == literal.text for literal in self.literals)


@dataclass(frozen=True)
class PartitionScope:
    """A set of table partitions: for each column named, the values admitted; other columns are free."""

    columns: tuple[ScopeColumn, ...]

    @property
    def sql(self) -> str:
        """The condition as SQL."""
        return " AND ".join(column.sql for column in self.columns)

    def holds(self, values: Mapping[str, str | None]) -> bool:
        """Say whether a table partition with these written values lies inside."""
        return all(column.holds(values.get(column.name)) for column in self.columns)


def these_partitions(partitions: Iterable[Mapping[str, str | None]], types: Mapping[str, str]) -> str:
    """Return the condition, as SQL, that holds in some table partitions and in no other.

    Args:
        partitions: The values of each, as they are written; those that `scan.values.parsed` takes.
        types: The table's partition columns and their types.
    """
    conditions = {
        " AND ".join(
            f"{quote_name(name)} <=> {_written_literal(values.get(name), kind)}" for name, kind in types.items()
        )
        for values in partitions
    }
    return " OR ".join(f"({each})" for each in sorted(conditions))


def _written_literal(text: str | None, type_name: str) -> str:
    return "NULL" if text is None else f"CAST({_text_literal(text).sql} AS {type_name})"


def partition_scope(
    asked: Mapping[str, Sequence[PartitionValue]], types: Mapping[str, str]
) -> tuple[PartitionScope, list[str]]:
    """Build the scope that a configuration asks for, and list everything that is wrong with it.

    Args:
        asked: Column to its values, as configured.
        types: The table's partition columns and their types (``int``, ``string``, …).
    """
    columns, problems = [], []
    for asked_name, values in asked.items():
        name = next((name for name in types if name.casefold() == asked_name.casefold()), None)
        if name is None:
            known = ", ".join(types) or "none"
            problems.append(f"{asked_name!r} is no partition column{nearest(asked_name, types)}; there are: {known}")
            continue
        if not values:
            problems.append(f"{name}: no value is given")
        literals = []
        for value in values:
            try:
                literals.append(literal(value, types[name]))
            except ValueError as error:
                problems.append(f"{name}: {error}")
        columns.append(ScopeColumn(name, types[name], tuple(literals)))
    return PartitionScope(tuple(columns)), problems


def literal(value: PartitionValue, type_name: str) -> Literal:
    """Turn a configured value into a literal of the partition column's type.

    Raises:
        ValueError: The value is not one of this type; the message is a clause for the reader.
    """
    if value is None:
        return Literal(None, "NULL")
    if isinstance(value, bool) or type_name == "boolean":
        if not isinstance(value, bool) or type_name != "boolean":
            raise ValueError(f"{value!r} is not of the column's type {type_name}")
        return Literal(str(value).lower(), str(value).upper())
    if type_name == "string" or type_name.startswith(("string ", "char", "varchar")):
        return _text_literal(value)
    if type_name not in _INTEGER_BITS and not type_name.startswith(("date", "decimal")):
        raise ValueError(f"partitions by {type_name} cannot be named one by one; use string, integer or date columns")
    try:
        text = canonical_text(str(value), type_name, strict=True)
    except ValueError:
        text = None
    if text is None:
        raise ValueError(f"{value!r} is not of the column's type {type_name}")
    return Literal(text, f"CAST('{text}' AS {type_name})" if type_name not in _INTEGER_BITS else text)


def canonical_text(text: str | None, type_name: str, *, strict: bool = False) -> str | None:
    """Write a partition value the one way that makes equal values equal text.

    Args:
        text: The value as a folder's name or Delta's log has it.
        type_name: Spark's short name of the column's type.
        strict: Raise where the text is not a value of the type, instead of returning it as it is.

    Raises:
        ValueError: Strict, and the text is not a value of the type.
    """
    if text is None:
        return None
    try:
        return _canonical(parsed(text, type_name), text, strict=strict)
    except ValueError:
        if strict:
            raise
        return text


def _canonical(value: Any, text: str, *, strict: bool) -> str:
    match value:
        case bool():
            return text.lower()
        case int():
            if strict and str(value) != text:
                raise ValueError(text)
            return str(value)
        case Decimal():
            return format(value.normalize(), "f")
        case str() if strict:
            raise ValueError(text)
    return text


def _text_literal(value: str | int) -> Literal:
    if not isinstance(value, str):
        raise ValueError(f"the column is a string: write {str(value)!r} in quotes, exactly as the table has it")
    if value == "":
        raise ValueError("an empty string is stored as null: write null")
    if _PLAIN_TEXT.fullmatch(value):
        return Literal(value, f"'{value}'")
    return Literal(value, f"CAST(X'{value.encode().hex()}' AS STRING)")


def short_type_name(name: str) -> str:
    """Spark's short name (``bigint``) of a type that Delta's log or a JSON schema names (``long``)."""
    return _DELTA_NAMES.get(name, name)


def quote_name(name: str) -> str:
    """Quote a column's or table's name so that it is one name in SQL, whatever is in it."""
    return "`" + name.replace("`", "``") + "`"


def quote_text(text: str) -> str:
    """Quote a text as a literal of SQL that a statement takes where no expression may stand."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def quote_table(name: str) -> str:
    """Quote a catalog name (``table``, ``schema.table``, ``catalog.schema.table``) part by part.

    Raises:
        ValueError: It is no such name.
    """
    parts = re.findall(r"`((?:[^`]|``)+)`|([^`.\s;]+)", name)
    names = [quoted.replace("``", "`") or plain for quoted, plain in parts]
    spelled = ".".join(f"`{quoted}`" if quoted else plain for quoted, plain in parts)
    if spelled != name or not 1 <= len(names) <= 3:
        raise ValueError(f"{name!r} is no table name: write table, schema.table or catalog.schema.table")
    return ".".join(map(quote_name, names))
