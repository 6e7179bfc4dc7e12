"""The strict comparison of two columns of answers."""

from __future__ import annotations

import datetime
import math
from collections.abc import Sequence
from typing import Any


def differences(found: Sequence[Any], wanted: Sequence[Any], rtol: float, atol: float = 0.0) -> list[str]:
    """Say which rows differ: texts, truth values and integers at all, other numbers by more than ``rtol`` and ``atol``.

    NaN equals NaN alone, and null (None, or pandas' mark for a missing value in a column without NaN) null alone.
    """
    if len(found) != len(wanted):
        return [f"{len(found)} rows, not {len(wanted)}"]
    pairs = enumerate(zip(found, wanted, strict=True))
    return [f"row {row}" for row, (left, right) in pairs if not _same(left, right, rtol, atol)]


def _same(found: Any, wanted: Any, rtol: float, atol: float) -> bool:
    if wanted is None or type(wanted).__name__ in ("NAType", "NaTType"):
        return found is None
    if isinstance(wanted, bool) or isinstance(found, bool):
        return found is wanted
    if isinstance(wanted, list | tuple):
        return isinstance(found, list) and len(found) == len(wanted) and not differences(found, wanted, rtol, atol)
    if isinstance(wanted, dict):
        return (
            isinstance(found, dict)
            and {*found} == {*wanted}
            and all(_same(found[k], wanted[k], rtol, atol) for k in wanted)
        )
    if isinstance(wanted, float) and isinstance(found, float):
        return (math.isnan(wanted) and math.isnan(found)) or math.isclose(found, wanted, rel_tol=rtol, abs_tol=atol)
    if isinstance(wanted, datetime.datetime):
        return bool(wanted == found)
    if isinstance(wanted, int | float) and isinstance(found, int | float):
        return found == wanted
    return type(found) is type(wanted) and bool(found == wanted)
