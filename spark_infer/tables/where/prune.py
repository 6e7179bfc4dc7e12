"""A condition over statistics: whether any row of a file, or of a row group, can meet it.

Bounds may lie outside the values (Delta cuts long texts), and what is unknown counts as possible: what is left out
holds no row that is asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from spark_infer.tables.where.terms import AllOf, Always, AnyOf, Compares, IsNull, IsTrue, Not, OneOf, Term, Value


@dataclass(frozen=True)
class Bounds:
    """What is known of a column's values in some rows.

    Attributes:
        low: No value is below it, NaN left aside; None where that is not known.
        high: No value is above it, NaN left aside; None where that is not known.
        nulls: Whether some value may be null.
        values: Whether some value may be other than null.
    """

    low: Any = None
    high: Any = None
    nulls: bool = True
    values: bool = True


UNKNOWN = Bounds()


@dataclass(frozen=True)
class _Possible:
    """Which outcomes a term may have in some rows."""

    true: bool = True
    false: bool = True
    null: bool = True


def may_hold(term: Term, bounds: Callable[[str], Bounds]) -> bool:
    """Say whether a row may meet a condition.

    Args:
        term: The condition.
        bounds: What is known of a column; `UNKNOWN` where nothing is.
    """
    return _possible(term, bounds).true


def _possible(term: Term, bounds: Callable[[str], Bounds]) -> _Possible:
    match term:
        case Compares(column, op, value):
            return _compared(bounds(column), op, value)
        case OneOf(column, values):
            each = [_compared(bounds(column), "=", value) for value in values]
            return _Possible(any(one.true for one in each), all(one.false for one in each), bounds(column).nulls)
        case IsNull(column):
            known = bounds(column)
            return _Possible(known.nulls, known.values, null=False)
        case IsTrue(column):
            return _compared(bounds(column), "=", True)
        case Always(value):
            return _Possible(value, not value, null=False)
        case Not(inner):
            found = _possible(inner, bounds)
            return _Possible(found.false, found.true, found.null)
        case AllOf(terms):
            return _all([_possible(each, bounds) for each in terms])
        case AnyOf(terms):
            turned = _all([_turned(_possible(each, bounds)) for each in terms])
            return _turned(turned)


def _turned(found: _Possible) -> _Possible:
    return _Possible(found.false, found.true, found.null)


def _all(found: list[_Possible]) -> _Possible:
    return _Possible(
        true=all(each.true for each in found),
        false=any(each.false for each in found),
        null=any(each.null for each in found) and all(each.true or each.null for each in found),
    )


def _compared(known: Bounds, op: str, value: Value) -> _Possible:
    if not known.values:
        return _Possible(false=False, true=False, null=known.nulls)
    true, false = _beside(known, op, value)
    if isinstance(value, float):  # a NaN may be there, of which bounds say nothing
        true, false = (True, false) if op in (">", ">=") else (true, True)
    return _Possible(true, false, known.nulls)


def _beside(known: Bounds, op: str, value: Value) -> tuple[bool, bool]:
    """Whether values between the bounds may be true, and false, beside a literal."""
    low, high = (_comparable(bound, value) for bound in (known.low, known.high))
    value = _comparable(value, value)
    below, above = low is None or low < value, high is None or high > value
    at = (low is None or low <= value) and (high is None or high >= value)
    return {
        "=": (at, below or above),
        "<": (below, at or above),
        "<=": (below or at, above),
        ">": (above, at or below),
        ">=": (above or at, below),
    }[op]


def _comparable(bound: Any, value: Value) -> Any:
    """A bound in the form in which it can be compared with a literal; None where it has another type."""
    if isinstance(value, bool) or isinstance(bound, bool):
        return bound if isinstance(value, bool) and isinstance(bound, bool) else None
    if isinstance(value, str):
        # By bytes, as Parquet and Delta order texts.
        return bound.encode("utf-8", "surrogatepass") if isinstance(bound, str) else None
    if isinstance(value, date):
        return bound if type(bound) is date else None
    if isinstance(value, float):
        fits = isinstance(bound, int | float) and bound == bound  # NaN is no bound
        return bound if fits else None
    if isinstance(value, Decimal):
        return bound if isinstance(bound, int | Decimal) else None
    return bound if isinstance(bound, int) else None
