"""One thing that `spark-infer doctor` looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from spark_infer.errors import EnvironmentProblem


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: What it is.
        status: `ok`; `note` for what works and should be known; `problem` for what stops a run.
        found: What is there.
        fix: What to do about it; empty where nothing is to be done.
        exit_code: That of a problem: 3 for one of this machine or a server, and for one of a model that of `plan`.
    """

    name: str
    status: Literal["ok", "note", "problem"]
    found: str
    fix: str = ""
    exit_code: int = EnvironmentProblem.exit_code

    def to_dict(self) -> dict[str, str]:
        """Return what was found as values that JSON can hold."""
        return {"name": self.name, "status": self.status, "found": self.found, "fix": self.fix}
