"""Words and turns that technical English does without; `make lint` looks for them: `python -m tests.prose`.

The pages, the docstrings and the messages are written as PySpark's or dbt's documentation is: the usual word, the
present tense, no literary or archaic turns.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
INSTEAD = {
    r"anew": "again, or: a new …",
    r"whose words? counts?": "which decides",
    r"for want of": "without, because … is missing",
    r"(is|are|be) told": "is reported, gets, knows",
    r"is begun": "starts",
    r"of no account": "does not count",
    r"who needs more": "for more, …",
    r"gets? in the way of": "conflicts with, comes first",
    r"takes? the place of": "replaces",
    r"is no \w+ of": "is not a … of",
    r"thereof|hereby|herein|whilst|albeit|hitherto|lest|nought": "the usual word",
    r"utili[sz]e[sd]?": "use",
    r"leverag(e|es|ed|ing)": "use",
    r"seamless(ly)?|effortless(ly)?|blazing(ly)?": "say what it does, with a figure",
}


def problems() -> Iterator[str]:
    """Name the places in the pages and the package, each with what to write."""
    listed = subprocess.run(
        ["git", "ls-files", "*.md", "spark_infer/*.py", "notebooks", "jobs", "conf"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    turns = {re.compile(rf"\b({turn})\b", re.IGNORECASE): words for turn, words in INSTEAD.items()}
    for path in listed.stdout.splitlines():
        if path.startswith("CHANGELOG") or not (ROOT / path).is_file():
            continue
        for number, line in enumerate((ROOT / path).read_text().splitlines(), 1):
            for turn, words in turns.items():
                if found := turn.search(line):
                    yield f"{path}:{number}: {found[0]!r}: write {words}"


if __name__ == "__main__":
    found = list(problems())
    sys.exit("\n".join(found) or 0)
