from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from spark_infer.config.duration import Duration


@pytest.mark.parametrize(
    ("given", "seconds"),
    [(90, 90.0), ("90", 90.0), ("90s", 90.0), ("1.5h", 5400.0), ("1h30m", 5400.0), ("1H 30M", 5400.0), ("1d", 86400.0)],
)
def test_a_length_of_time_becomes_seconds(given: Any, seconds: float) -> None:
    assert TypeAdapter(Duration).validate_python(given) == seconds


@pytest.mark.parametrize("given", ["", "2 hours", "h", "1h-5m", "2w", "1:30"])
def test_what_is_no_length_of_time_is_refused_with_the_right_way(given: str) -> None:
    with pytest.raises(ValidationError, match="such as `90s`, `45m`, `2h` or `1h30m`"):
        TypeAdapter(Duration).validate_python(given)
