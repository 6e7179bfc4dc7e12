"""One thing that `spark-infer doctor` looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: What it is.
        status: `ok`; `note` for what works and should be known; `problem` for what stops a run.
        found: What is there.
        fix: What to do about it; empty where nothing is to be done.
    """

    name: str
    status: Literal["ok", "note", "problem"]
    found: str
    fix: str = ""
