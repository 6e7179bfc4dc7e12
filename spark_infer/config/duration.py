"""Lengths of time as users write them: seconds, or `2h`, `90m`, `1h30m`."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator

_SECONDS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_PARTS = re.compile(r"(?:\d+(?:\.\d+)?[dhms])+")


def _in_seconds(given: Any) -> Any:
    if not isinstance(given, str):
        return given
    text = given.replace(" ", "").lower()
    try:
        return float(text)
    except ValueError:
        if not _PARTS.fullmatch(text):
            raise ValueError("expected seconds, or a length of time such as `90s`, `45m`, `2h` or `1h30m`") from None
    return sum(float(part[:-1]) * _SECONDS[part[-1]] for part in re.findall(r"[\d.]+[dhms]", text))


Duration = Annotated[float, BeforeValidator(_in_seconds)]
"""Seconds; a text with units becomes seconds."""
