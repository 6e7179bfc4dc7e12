"""Why foreign code failed, told without the row values its message may hold."""

from __future__ import annotations

import traceback

HIDDEN = "its message may hold row values and is hidden; set SPARK_INFER_SHOW_VALUES=1 on the driver to see it"


def reason(error: BaseException, *, show_values: bool) -> tuple[str, ...]:
    """Describe an exception in two lines: its class and place in the code, then its message or why that is hidden.

    >>> try:
    ...     int("secret")
    ... except ValueError as error:
    ...     print("secret" in " ".join(reason(error, show_values=False)))
    False
    """
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {frames[-1].filename}:{frames[-1].lineno} in {frames[-1].name}" if frames else ""
    message = (str(error).strip().splitlines() or ["(no message)"])[0] if show_values else HIDDEN
    return f"{type(error).__module__}.{type(error).__qualname__}{place}", message
