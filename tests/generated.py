"""Parts of the docs that tests write: compared with what is committed, written again with WRITE_DOCS=1."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]


def check(path: Path, name: str, text: str) -> None:
    """Compare a part of a page with ``text``, or put ``text`` there.

    Args:
        path: The page, relative to the repository.
        name: The part stands between ``<!-- begin name … -->`` and ``<!-- end name -->``.
        text: What it must say.
    """
    page = ROOT / path
    whole = page.read_text()
    head, begin, rest = whole.partition(f"<!-- begin {name}")
    marked, close, rest = rest.partition("-->\n")
    found, end, tail = rest.partition(f"<!-- end {name} -->")
    assert all((begin, close, end)), f"{path} has no part {name!r}"
    if os.environ.get("WRITE_DOCS") == "1":
        page.write_text(f"{head}{begin}{marked}{close}{text}{end}{tail}")
    else:
        assert found == text, f"the part {name!r} of {path} is not what the tests say: write it again with `make docs`"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |\n" for line in lines)
