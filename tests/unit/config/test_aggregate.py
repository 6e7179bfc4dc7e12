"""The formulas of a summary: read here, never run as SQL; what cannot be exact is refused with a way out."""

from __future__ import annotations

import pytest

from spark_infer.config import AggregateConfig
from spark_infer.config.aggregate import formula_parts


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("count", ("count", "")),
        ("count(*)", ("count", "")),
        (" AVG ( prediction ) ", ("avg", "prediction")),
        ("count_if(prediction > 0.9)", ("count_if", "prediction > 0.9")),
    ],
)
def test_a_formula_is_a_function_and_its_argument(text: str, parts: tuple[str, str]) -> None:
    assert formula_parts(text) == parts


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("mean(x)", r"write `avg\(…\)`"),
        ("maxx(x)", "did you mean 'max'"),
        ("count_distinct(x)", "group `by` that column"),
        ("median(x)", "cannot be put together exactly"),
        ("sum", "lacks its column"),
        ("sum()", "lacks its column"),
        ("1; DROP TABLE t", "is not one of"),
    ],
)
def test_what_is_not_a_formula_is_refused_with_what_is_meant(text: str, hint: str) -> None:
    with pytest.raises(ValueError, match=hint):
        AggregateConfig(path="s", columns={"a": text})


def test_a_summary_has_a_column() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        AggregateConfig(path="s", columns={})
