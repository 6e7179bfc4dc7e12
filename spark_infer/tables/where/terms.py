"""What a condition on rows is made of; plain values, pickled to the workers.

A term is true, false or null for each row, as SQL has it; a row is kept where the whole condition is true.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

Value = bool | int | float | Decimal | str | date
"""A literal, converted to what a column of its type is compared with; never NaN."""


@dataclass(frozen=True)
class Compares:
    """A column beside a literal; ``op`` is one of ``= < <= > >=``. NaN equals itself and is above every number."""

    column: str
    op: str
    value: Value


@dataclass(frozen=True)
class OneOf:
    """A column that equals one of some literals."""

    column: str
    values: tuple[Value, ...]


@dataclass(frozen=True)
class IsNull:
    """A column that is null; never null itself."""

    column: str


@dataclass(frozen=True)
class IsTrue:
    """A Boolean column by itself."""

    column: str


@dataclass(frozen=True)
class Always:
    """A literal TRUE or FALSE."""

    value: bool


@dataclass(frozen=True)
class Not:
    """The opposite; null stays null."""

    term: Term


@dataclass(frozen=True)
class AllOf:
    """Terms joined by AND."""

    terms: tuple[Term, ...]


@dataclass(frozen=True)
class AnyOf:
    """Terms joined by OR."""

    terms: tuple[Term, ...]


Term = Compares | OneOf | IsNull | IsTrue | Always | Not | AllOf | AnyOf


def columns_of(term: Term) -> tuple[str, ...]:
    """Return the columns that a condition looks at, each once."""
    return tuple(dict.fromkeys(_columns(term)))


def _columns(term: Term) -> Iterator[str]:
    match term:
        case AllOf(terms) | AnyOf(terms):
            for each in terms:
                yield from _columns(each)
        case Not(inner):
            yield from _columns(inner)
        case Always():
            return
        case _:
            yield term.column
