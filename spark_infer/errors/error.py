"""What all errors have in common: what happened, details, and the next step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

from spark_infer.printable import printable_lines

_MOST_CHARACTERS = 4_000

MOST_PROBLEMS = 30
"""How many problems of a table one error lists."""


class SparkInferError(Exception):
    """Root of every error that spark_infer raises on purpose.

    Args:
        what: One sentence: what is wrong, and where.
        details: Further lines: what was got, what is allowed.
        next_step: What the reader can do now.

    Attributes:
        exit_code: With which the command line ends: 2 refused, 3 environment, 4 failed while running, 5 out of time.
        kind: The word before its message: refused, failed or stopped.

    Example:
        >>> print(SparkInferError("The disk is full.", details=["0 bytes are left"], next_step="free some space."))
        The disk is full.
          0 bytes are left
        Next: free some space.
    """

    exit_code: ClassVar[int] = 1
    kind: ClassVar[str] = "failed"

    def __init__(self, what: str, *, details: Iterable[str] = (), next_step: str = "") -> None:
        self.what = _bounded(what)
        self.details = _most([_bounded(line) for line in details])
        self.next_step = _bounded(next_step)
        super().__init__(self.what)

    def __str__(self) -> str:
        lines = [self.what, *(f"  {line}" for line in self.details)]
        if self.next_step:
            lines.append(f"Next: {self.next_step}")
        return printable_lines(lines)

    def rephrase(self, change: Callable[[str], str]) -> None:
        """Pass every line of the message through ``change``."""
        self.what = change(self.what)
        self.details = tuple(change(line) for line in self.details)
        self.next_step = change(self.next_step)
        self.args = (self.what,)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.what, self.details, self.next_step)


def _most(lines: Sequence[str]) -> tuple[str, ...]:
    """Cut a list of what there are thousands of."""
    more = len(lines) - MOST_PROBLEMS
    return tuple(lines) if more <= 1 else (*lines[:MOST_PROBLEMS], f"and {more:,} more")


def _bounded(line: str) -> str:
    """Cut a line that lists what there are thousands of."""
    more = len(line) - _MOST_CHARACTERS
    return line if more <= 0 else f"{line[:_MOST_CHARACTERS]} … ({more:,} more characters)"


def _rebuild(cls: type[SparkInferError], what: str, details: tuple[str, ...], next_step: str) -> SparkInferError:
    return cls(what, details=details, next_step=next_step)
