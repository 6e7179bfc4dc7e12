"""The examples in docstrings, run as tests."""

from __future__ import annotations

import doctest
from types import ModuleType
from typing import Any

FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE | doctest.REPORT_ONLY_FIRST_FAILURE


def examples(thing: object, names: dict[str, Any] | None = None) -> list[doctest.DocTest]:
    """Return the examples of a class, with those of its methods, of a function or of the functions of a module."""
    name = thing.__name__  # type: ignore[attr-defined]
    module = None if isinstance(thing, ModuleType) else False
    found = doctest.DocTestFinder(exclude_empty=True).find(thing, name, module=module, globs=names or {})
    return [each for each in found if each.examples]


def failures(thing: object, names: dict[str, Any]) -> str:
    """Run the examples and return what differed, as doctest reports it."""
    told: list[str] = []
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    for each in examples(thing, names):
        runner.run(each, out=told.append)
    return "".join(told)
