"""`${NAME}`, `${NAME:-default}` and `${secret:NAME}` in the text of a job file.

`$${` stands for a plain `${`. A value that came by `${secret:NAME}` is remembered with that text, which is shown
wherever the value would appear; other values are shown.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_REFERENCE = re.compile(r"\$\$\{|\$\{([^}]*)\}?")
_INSIDE = re.compile(r"(secret:)?([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)


@dataclass(frozen=True)
class Expanded:
    """Text with its references replaced.

    Attributes:
        text: What the job gets.
        secrets: From each value that is declared secret, to the `${secret:NAME}` to show in its place.
        problems: A sentence for each reference that cannot be replaced.
        unset: The variables among these that are not set.
    """

    text: str
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    problems: tuple[str, ...] = ()
    unset: tuple[str, ...] = ()


def expand(text: str, variables: Mapping[str, str]) -> Expanded:
    """Replace every reference in ``text``.

    A variable that is set but empty counts as unset where there is a default, as in a shell.
    """
    problems: list[str] = []
    unset: list[str] = []
    secrets: dict[str, str] = {}

    def replace(match: re.Match[str]) -> str:
        if match[0] == "$${":
            return "${"
        inside = _INSIDE.fullmatch(match[1] or "") if match[0].endswith("}") else None
        if inside is None:
            problems.append(f"{match[0][:40]!r} is no `${{NAME}}`; write `$${{` for a plain `${{`")
            return ""
        declared, name, default = inside.groups()
        value = variables.get(name)
        if value and declared:
            secrets[value] = f"${{secret:{name}}}"
        if value:
            return value
        if value is None and default is None:
            problems.append(f"the environment variable {name} is not set")
            unset.append(name)
        return default or ""

    return Expanded(_REFERENCE.sub(replace, text), secrets, tuple(problems), tuple(unset))
