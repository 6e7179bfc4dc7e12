"""Which drivers are at work on a run, and whose turn it is to put its rows in their place: files in the run's folder.

Nothing that is published depends on them. A driver that is wrong about another one is stopped by what makes a commit or
a move happen once; these files only keep two drivers from doing the same work at the same time.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from pyarrow import ArrowException

from spark_infer.printable import printable
from spark_infer.runtime.process_identity import ProcessIdentity
from spark_infer.tables.durable import disk_of
from spark_infer.tables.ledger.ledger import Ledger
from spark_infer.tables.paths import is_name

DRIVERS, TURNS = "drivers", "turns"
_SILENT_SECONDS = 60.0
_LACK = (ArrowException, OSError)


@dataclass(frozen=True, kw_only=True)
class Driver:
    """A command that is at work on a run.

    Attributes:
        session: The command's name in the ledger.
        process: Where it runs.
        since: When it came to the run, UTC.
    """

    session: str
    process: ProcessIdentity
    since: datetime

    @classmethod
    def own(cls, session: str) -> Driver:
        """This command."""
        return cls(session=session, process=ProcessIdentity.own(), since=datetime.now(timezone.utc))

    def __str__(self) -> str:
        process = self.process
        return printable(
            f"process {process.pid} on host {process.host}, at work since {self.since:%Y-%m-%d %H:%M:%S} UTC"
        )

    def to_json(self) -> bytes:
        """Write it as JSON."""
        facts = {"session": self.session, "since": self.since.isoformat(), "process": vars(self.process)}
        return json.dumps(facts).encode()

    @classmethod
    def from_json(cls, text: bytes) -> Driver | None:
        """Read it from JSON; None where the text is damaged."""
        try:
            facts: Mapping[str, Any] = json.loads(text)
            process = ProcessIdentity(**facts["process"])
            return cls(session=facts["session"], process=process, since=datetime.fromisoformat(facts["since"]))
        except (ValueError, TypeError, KeyError):
            return None


def enter(ledger: Ledger, driver: Driver) -> None:
    """Write down that a driver is at work on a run; nothing where another one finishes the run at this moment.

    Raises:
        LedgerError: The run's folder cannot be written to, or may be somebody else's.
    """
    with suppress(FileNotFoundError):
        for name in (DRIVERS, TURNS):
            ledger.make_folder(ledger.folder.below(name))
        ledger.create(_place(driver.session), driver.to_json())


def beat(ledger: Ledger, driver: Driver) -> None:
    """Show that a driver is still at work; where its file is gone, the run is finished, and nothing is written."""
    place = ledger.folder.at(_place(driver.session))
    with suppress(*_LACK):
        if ledger.folder.kind(_place(driver.session)):
            disk_of(ledger.folder).renew(place, driver.to_json())


def leave(ledger: Ledger, driver: Driver) -> None:
    """Remove what `enter` wrote: others need not wait any more to see that this driver is gone."""
    with suppress(*_LACK):
        ledger.folder.files.delete_file(ledger.folder.at(_place(driver.session)))


def last_beat(ledger: Ledger, session: str) -> int | None:
    """When a driver was last seen, in nanoseconds of the run's file system; None where it has left."""
    info = ledger.folder.files.get_file_info(ledger.folder.at(_place(session)))
    return (info.mtime_ns or 0) if info.is_file else None


def driver_of(ledger: Ledger, session: str) -> Driver | None:
    """A driver that is at work, as it wrote itself down; None where it has left, or its file is damaged."""
    driver = Driver.from_json(ledger.read(_place(session)) or b"")
    return driver if driver is not None and driver.session == session else None


def at_work(ledger: Ledger) -> list[Driver]:
    """The drivers that are at work on a run as far as one look shows: their processes are there, or seen lately."""
    found = [driver for name in sorted(sessions(ledger)) if (driver := driver_of(ledger, name)) is not None]
    return [driver for driver in found if _is_at_work(ledger, driver)]


def _is_at_work(ledger: Ledger, driver: Driver) -> bool:
    if driver.process.is_here():
        return True
    seen = last_beat(ledger, driver.session)
    return not driver.process.is_gone() and seen is not None and time.time() - seen / 1e9 < _SILENT_SECONDS


def sessions(ledger: Ledger) -> set[str]:
    """The names of the drivers that have not left, also of those that were killed."""
    return {name.removesuffix(".json") for name in ledger.folder.names(DRIVERS) if name.endswith(".json")}


def newest_turn(ledger: Ledger) -> tuple[int, str]:
    """The number of the last turn that a driver has taken, and its session; 0 and "" where none has."""
    numbers = sorted(int(name) for name in ledger.folder.names(TURNS) if name.isdigit())
    if not numbers:
        return 0, ""
    session = (ledger.read(f"{TURNS}/{numbers[-1]:06}") or b"").decode(errors="replace")
    return numbers[-1], session if is_name(session) else ""


def take_turn(ledger: Ledger, number: int, session: str) -> bool:
    """Take a turn; False where another driver has taken it."""
    return ledger.create(f"{TURNS}/{number:06}", session.encode())


def _place(session: str) -> str:
    return f"{DRIVERS}/{session}.json"
