"""`${NAME}` and `${NAME:-default}` in the text of a job file.

`$${` stands for a plain `${`. A value that came from a variable is remembered with the text it
replaced, so that it can be shown as `${NAME}` wherever it would appear.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_REFERENCE = re.compile(r"\$\$\{|\$\{([^}]*)\}?")
_INSIDE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)


@dataclass(frozen=True)
class Expanded:
    """Text with its references replaced.

    Attributes:
        text: What the job gets.
        shown: From each value that a variable gave, to the `${NAME}` to show in its place.
        problems: A sentence for each reference that cannot be replaced.
        unset: The variables among these that are not set.
    """

    text: str
    shown: Mapping[str, str] = field(default_factory=dict, repr=False)
    problems: tuple[str, ...] = ()
    unset: tuple[str, ...] = ()


def expand(text: str, variables: Mapping[str, str]) -> Expanded:
    """Replace every reference in ``text``.

    A variable that is set but empty counts as unset where there is a default, as in a shell.
    """
    problems: list[str] = []
    unset: list[str] = []
    used: dict[str, str] = {}

    def replace(match: re.Match[str]) -> str:
        if match[0] == "$${":
            return "${"
        inside = _INSIDE.fullmatch(match[1] or "") if match[0].endswith("}") else None
        if inside is None:
            problems.append(f"{match[0][:40]!r} is no `${{NAME}}`; write `$${{` for a plain `${{`")
            return ""
        name, default = inside[1], inside[2]
        value = variables.get(name)
        if value:
            used[value] = f"${{{name}}}"
            return value
        if value is None and default is None:
            problems.append(f"the environment variable {name} is not set")
            unset.append(name)
        return default or ""

    expanded = _REFERENCE.sub(replace, text)
    whole = {expanded: _REFERENCE.sub(_without_default, text)} if used else {}
    return Expanded(expanded, {**used, **whole}, tuple(problems), tuple(unset))


def _without_default(match: re.Match[str]) -> str:
    return match[0] if match[0] == "$${" else f"${{{match[1].partition(':-')[0]}}}"
