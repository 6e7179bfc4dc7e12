from __future__ import annotations

import pytest

from spark_infer.config.param_values import MOST_VALUES, backfill_values
from spark_infer.errors import ConfigError


def test_a_range_has_both_its_ends() -> None:
    assert backfill_values("day=2026-02-27..2026-03-01") == ("day", ["2026-02-27", "2026-02-28", "2026-03-01"])
    assert backfill_values("n=-1..1") == ("n", ["-1", "0", "1"])
    assert backfill_values("n=1..2,7") == ("n", ["1", "2", "7"])
    assert backfill_values("region=eu, us") == ("region", ["eu", "us"])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("day", "expected name=first"),
        ("day=", "empty value"),
        ("day=a,,b", "empty value"),
        ("day=2026-11-02..2026-11-01", "ends before it begins"),
        ("day=2026-11-01..x", "not a range of days"),
        ("n=1..2,2", "twice"),
        (f"n=1..{MOST_VALUES + 1}", "more than"),
        ("n=1..999999999999999999", "more than"),
    ],
)
def test_what_names_no_values_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        backfill_values(text)
