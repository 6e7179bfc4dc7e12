"""The plan of a run as the ledger keeps it: what decides its rows, and what was found when it began."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from spark_infer.job.units.fingerprint import fingerprint
from spark_infer.tables.ledger.signed import damaged, facts_in, leads_outside, signed
from spark_infer.tables.paths import is_name
from spark_infer.tables.plan import WritePlan

FORMAT = 1
_RUN_ID = re.compile(r"[0-9a-f]{16,64}")


@dataclass(frozen=True, kw_only=True)
class RunPlan:
    """A run, pinned.

    Attributes:
        run_id: Its unique name; on every commit.
        started_at: When it began, UTC; also the time on every row.
        facts: What decides its rows.
        write: How the target looked when the run began.
        units: How many units it has.
        tasks: The ledger's file that holds them.
        rows: Rows to score, where that was known.
        way: Who scores and writes its units, where the units do not say it.
    """

    run_id: str
    started_at: datetime
    facts: Mapping[str, Any]
    write: Mapping[str, Any]
    units: int
    tasks: str
    rows: int | None
    way: str = ""

    @property
    def fingerprint(self) -> str:
        """One text for the facts."""
        return fingerprint(self.facts)

    def to_json(self) -> bytes:
        """Write it as JSON."""
        facts = {**vars(self), "started_at": self.started_at.isoformat(), "format": FORMAT}
        if not self.way:
            del facts["way"]  # which older versions do not know
        return signed({**facts, "fingerprint": self.fingerprint})

    @classmethod
    def from_json(cls, text: bytes, where: str) -> RunPlan:
        """Read it from JSON.

        Raises:
            LedgerError: The text is not what `to_json` writes, or names a file outside the ledger.
        """
        facts = facts_in(text, where)
        try:
            if facts.pop("format") != FORMAT or facts.pop("fingerprint") != fingerprint(facts["facts"]):
                raise damaged(where)
            if not is_name(facts["tasks"]):
                raise leads_outside(where)
            if not _RUN_ID.fullmatch(facts["run_id"]):  # it is a part of the names of files that are made and removed
                raise damaged(where)
            return cls(**{**facts, "started_at": datetime.fromisoformat(facts["started_at"]).astimezone(timezone.utc)})
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise damaged(where) from error


def written_of(write: WritePlan) -> dict[str, Any]:
    """Return what a run must remember of its write: how the target looked before the run changed it."""
    return {
        "format": write.location.format,
        "exists": write.exists,
        "partition_by": list(write.partition_by),
        "partition_types": list(write.partition_types),
        "new_schema": write.new_schema,
        "filled": list(write.filled),
    }
