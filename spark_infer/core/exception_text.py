"""Why foreign code failed, without the row values and secrets that its message may hold."""

from __future__ import annotations

import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path

HIDDEN = "its message may hold values and is hidden; set SPARK_INFER_SHOW_VALUES=1 on the driver to see it"

_MOST_LETTERS = 300
_MOST_READ = 10_000
_CARRIED_PLACE = "__spark_infer_place__"
_LIBRARIES = ("<frozen ", str(Path(__file__).parents[1]), *map(sysconfig.get_path, ("stdlib", "purelib", "platlib")))
"""How the names of files begin that are not the user's own code: Python's, this package's, installed ones."""


def text_of(error: BaseException) -> str:
    """Return an exception's message, cut where it is very long; why there is none where its code for that fails."""
    try:
        return str(error)[:_MOST_READ]
    except (Exception, SystemExit) as failure:
        return f"(its message raises {type(failure).__name__})"


def first_line(error: BaseException) -> str:
    r"""Return the first line of an exception's message that is not blank; the name of its class where it has none.

    >>> first_line(OSError("no route\nstack …")), first_line(TimeoutError())
    ('no route', 'TimeoutError')
    """
    lines = (line.strip() for line in text_of(error).splitlines())
    return next(filter(None, lines), type(error).__name__)[:_MOST_LETTERS]


def describe_exception(error: BaseException, *, show_values: bool) -> tuple[str, ...]:
    """Describe an exception in two lines: its class and place in the code, then its message or why that is hidden.

    >>> try:
    ...     int("secret")
    ... except ValueError as error:
    ...     print("secret" in " ".join(describe_exception(error, show_values=False)))
    False
    """
    message = (text_of(error).strip().splitlines() or ["(no message)"])[0] if show_values else HIDDEN
    return f"{type(error).__module__}.{type(error).__qualname__}{place_of(error)}", message


def missing_module(error: BaseException) -> str | None:
    """Return the first part of the name of the module that was not found, that of the first cause; None without one."""
    found = [each.name for each in causes(error) if isinstance(each, ModuleNotFoundError) and each.name]
    return found[-1].partition(".")[0] if found else None


def causes(error: BaseException, *, hidden: bool = False) -> Iterator[BaseException]:
    """Yield an exception and what led to it, the nearest first.

    Args:
        error: The exception.
        hidden: Whether also by what it was raised while handling, as errors of ours are that hide a text with values.
    """
    seen: list[BaseException] = []
    each: BaseException | None = error
    while each is not None and each not in seen:
        yield each
        seen.append(each)
        each = each.__cause__ or (each.__context__ if hidden else None)


def place_of(error: BaseException) -> str:
    """Say where it was raised and, where that is in a library, the line of the user's own code that led there."""
    if carried := vars(error).get(_CARRIED_PLACE):
        return str(carried)
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith(_LIBRARIES)]
    shown = frames[-1:] if own[-1:] == frames[-1:] else [*frames[-1:], *own[-1:]]
    return ", called".join(f" at {frame.filename}:{frame.lineno} in {frame.name}" for frame in shown)


def keep_place(error: BaseException, place: str) -> None:
    """Note where an exception was raised, for one that comes from another process without its traceback."""
    vars(error)[_CARRIED_PLACE] = place
