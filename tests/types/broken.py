"""Values that no model may be given as its declared type, and what the error must say; never the value."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tests.types.cases import MODELS, Case

_BY_NAME = {case.column: case for cases in MODELS.values() for case in cases}


@dataclass(frozen=True, kw_only=True)
class Broken:
    """One bad value.

    Attributes:
        case: Its column.
        what: What it is, for the document; "a null" where it is one.
        value: What the table holds.
        says: What the error must say beside the column's name.
    """

    case: Case
    what: str
    value: Any
    says: str


def _null(case: Case) -> Broken:
    is_array = "array" in case.spark or case.spark == "vector"
    says = "1 of 1 arrays are null or of another size" if is_array else "has no missing value"
    return Broken(case=case, what="a null", value=None, says=says)


def _bad(column: str, what: str, value: Any, says: str) -> Broken:
    return Broken(case=_BY_NAME[column], what=what, value=value, says=says)


BROKEN: list[Broken] = [
    *(_null(case) for case in _BY_NAME.values() if case.null is None),
    _bad("long_double", "2^53 + 1", 2**53 + 1, "cannot hold exactly"),
    _bad("rounded", "10^39", [1e39, 0.0, 0.0], "cannot hold exactly"),
    _bad("words", "a null inside", ["a", None], "enforcement of the signature would make a value of it"),
    _bad("day", "the day -3,000,000", -3_000_000, "cannot hold"),
    _bad("instant", "the year 9999", datetime(9999, 12, 31), "outside 1677-09-22"),
    _bad("any_date", "the day 2^31 - 1", 2**31 - 1, "outside 1677-09-22"),
    _bad("any_instants", "the year 148108", [2**62], "that Python cannot"),
    _bad("row3", "two numbers of three", [1.0, 2.0], "1 of 1 arrays are null or of another size"),
    _bad("square", "a ragged square", [[1.0, 2.0], [3.0]], "1 of 2 arrays are null or of another size"),
    _bad("pixels", "256", [0, 256], "cannot hold exactly"),
    _bad("mask", "a null inside", [True, None], "has no missing value"),
    _bad("vector_tensor", "a vector of two", {"type": 0, "size": 2, "indices": [], "values": []}, "of another size"),
]
