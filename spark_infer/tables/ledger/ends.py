"""Why the commands of an unfinished run ended: a note of each that could write one, and what the others left."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone

from pyarrow import ArrowException

from spark_infer.errors import LedgerError, StoppedError
from spark_infer.runtime.stop_signals import described
from spark_infer.tables.ledger import drivers
from spark_infer.tables.ledger.ledger import ENDS, Ledger

_KILLED = "killed, or its machine is gone"
_LACK = (LedgerError, ArrowException, OSError)
_MOST_LETTERS = 100


@dataclass(frozen=True, kw_only=True)
class End:
    """How a command ended before its run was finished.

    Attributes:
        at: When, UTC; of one that was killed, when it was last seen.
        why: ``stopped by SIGTERM``, ``stopped by max_runtime``, ``failed with PredictError``, or that it was killed.
    """

    at: datetime
    why: str

    def __str__(self) -> str:
        return f"{self.why} at {self.at:%Y-%m-%d %H:%M:%S} UTC"


def note_end(ledger: Ledger, session: str, error: Exception | KeyboardInterrupt) -> None:
    """Write down how a command ends, with the class of its error and none of its text; nothing where it cannot be."""
    facts = {"at": datetime.now(timezone.utc).isoformat(), "why": _why(error)}
    with suppress(*_LACK):
        if ledger.report() is None:
            ledger.make_folder(ledger.folder.below(ENDS))
            ledger.create(f"{ENDS}/{session}.json", json.dumps(facts).encode())


def last_end(ledger: Ledger) -> End | None:
    """Return how the last command of an unfinished run ended; None where there was none, or one is at work."""
    if drivers.at_work(ledger):
        return None
    noted = [_read(ledger.read(f"{ENDS}/{name}") or b"") for name in ledger.folder.names(ENDS)]
    seen = [drivers.last_beat(ledger, session) for session in drivers.sessions(ledger)]
    killed = [
        End(at=datetime.fromtimestamp(beat / 1e9, timezone.utc), why=_KILLED) for beat in seen if beat is not None
    ]
    return max([*filter(None, noted), *killed], key=lambda end: end.at, default=None)


def _why(error: Exception | KeyboardInterrupt) -> str:
    if isinstance(error, KeyboardInterrupt):
        return described(error)[0]
    return "stopped by max_runtime" if isinstance(error, StoppedError) else f"failed with {type(error).__name__}"


def _read(text: bytes) -> End | None:
    try:
        facts = json.loads(text)
        return End(
            at=datetime.fromisoformat(facts["at"]).astimezone(timezone.utc), why=str(facts["why"])[:_MOST_LETTERS]
        )
    except (ValueError, TypeError, KeyError):
        return None
