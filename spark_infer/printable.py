"""Text from outside on its way to a terminal: names of columns, tags and flavors, what a registry answers.

An escape sequence in a name may clear the screen, forge a line or set the clipboard; a mark for the direction of
writing shows text in another order than it has (https://trojansource.codes). JSON escapes them by itself.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from typing import Any

# C0 and C1 controls and DEL, line and paragraph separators, and what changes the direction of writing.
_UNPRINTABLE = re.compile("[\0-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f]")


def printable(line: str) -> str:
    r"""Escape what a terminal would obey in one line of text, line ends included; all letters stay.

    >>> printable("a\x1b[2J\nb"), printable("größe 価格")
    ('a\\x1b[2J\\nb', 'größe 価格')
    """
    return _UNPRINTABLE.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), line)


def quoted(text: str, most: int = 60) -> str:
    """Quote text from outside so that one line stays one line, and short."""
    return repr(text if len(text) <= most else text[:most] + "…")


def kind_in_words(value: object) -> str:
    """Name the kind of a plain value in the words of YAML, and any other by its Python type.

    >>> kind_in_words([1]), kind_in_words(True), kind_in_words(b"")
    ('a list', 'a truth value', 'bytes')
    """
    kinds: tuple[tuple[Any, str], ...] = (
        (str, "text"),
        (bool, "a truth value"),
        (int, "a whole number"),
        (float, "a number"),
        (type(None), "nothing"),
        (list | tuple, "a list"),
        (Mapping, "a mapping"),
    )
    return next((words for kind, words in kinds if isinstance(value, kind)), type(value).__name__)


def printable_lines(lines: Iterable[str]) -> str:
    """Join lines into a text; a name in them cannot begin a line of its own."""
    return "\n".join(map(printable, lines))


def printable_text(text: str) -> str:
    """Escape what a terminal would obey in a text whose line ends are its own, such as a traceback."""
    return printable_lines(text.split("\n"))


class PrintableFormatter(logging.Formatter):
    """Writes a log that can be looked at in a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record; its line ends stay, for tracebacks have some."""
        return printable_text(super().format(record))


def counted(count: int, word: str, words: str = "") -> str:
    """Return a count and its word, in the plural where it must be."""
    return f"{count:,} {word if count == 1 else words or word + 's'}"
