"""Per-group summaries of the predictions: their table, its groups, and what is computed of each."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from spark_infer.config.frozen import ColumnName, NameList
from spark_infer.config.table import WrittenTableConfig
from spark_infer.errors import nearest

FUNCTIONS = ("count", "count_if", "sum", "avg", "min", "max", "stddev")

_FORMULA = re.compile(r"\s*(\w+)\s*(?:\((.*)\))?\s*", re.DOTALL)
_INSTEAD = {
    "mean": "write `avg(…)`",
    "std": "write `stddev(…)`",
    "count_distinct": "group `by` that column instead: a distinct count cannot be put together from parts",
}
_NOT_EXACT = dict.fromkeys(
    ("median", "percentile", "quantile", "approx_percentile"),
    "quantiles cannot be put together exactly from parts: count the rows of ranges with `count_if(x < 0.5)`",
)


def formula_parts(text: str) -> tuple[str, str]:
    """Split a formula into its function and what stands in its brackets; `count` and `count(*)` have nothing there.

    Raises:
        ValueError: It is not a formula.
    """
    found = _FORMULA.fullmatch(text)
    function, argument = (found[1].lower(), (found[2] or "").strip()) if found else ("", "")
    if function not in FUNCTIONS:
        instead = {**_INSTEAD, **_NOT_EXACT}.get(function)
        why = f"; {instead}" if instead else nearest(function, FUNCTIONS)
        raise ValueError(f"`{text}` is not one of {', '.join(FUNCTIONS)} of a column, as in `avg(prediction)`{why}")
    if function == "count" and argument == "*":
        argument = ""
    if not argument and function != "count":
        raise ValueError(f"`{text}` lacks its column, as in `{function}(prediction)`")
    return function, argument


def _checked(text: str) -> str:
    formula_parts(text)
    return text


class AggregateConfig(WrittenTableConfig):
    """Where per-group summaries of the predictions go, and what they hold.

    Example:
        >>> wanted = AggregateConfig(path="by_day", by="day", columns={"rows": "count", "mean": "avg(prediction)"})
        >>> wanted.by, wanted.columns["mean"]
        (('day',), 'avg(prediction)')
    """

    by: NameList = Field(
        default=(),
        description="The columns whose values make a group, of the target or the source; none for one row a run.",
    )
    columns: dict[ColumnName, Annotated[str, AfterValidator(_checked)]] = Field(
        min_length=1,
        description="Name to formula: `count`, `count(x)` (not null), `count_if(x > 0.9)`, `sum(x)`, `avg(x)`, "
        "`min(x)`, `max(x)`, `stddev(x)`, where x is a column of the target or the source.",
    )
