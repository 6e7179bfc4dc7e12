"""Up to which version the log of a source was seen to bring nothing new: a source may be arranged for months.

The bookmark of the target moves with rows alone. Without this, it would one day be older than the oldest commit in
the log of a source, although no row was ever missed.
"""

from __future__ import annotations

import logging
import re

from spark_infer.errors import LedgerError
from spark_infer.job.units.runs import Runs, report_in
from spark_infer.tables.bookmark import Bookmark
from spark_infer.tables.ledger.ledger import Ledger
from spark_infer.tables.ledger.signed import facts_in, signed

logger = logging.getLogger(__name__)

_NAME = re.compile(r"seen\.(\d+)\.json")


def seen_after(runs: Runs, mark: Bookmark) -> int:
    """Return the newest version after which new rows may have come: that of a bookmark, or a later one.

    Args:
        runs: The runs of the job.
        mark: The bookmark of its target.

    Raises:
        LedgerError: The account of a run is damaged.
    """
    ledger = _of(runs, mark)
    names = [] if ledger is None else ledger.folder.names()
    newest = max((int(match[1]) for name in names if (match := _NAME.fullmatch(name))), default=None)
    if ledger is None or newest is None:
        return mark.source_version
    name = f"seen.{newest}.json"
    text = ledger.read(name)
    found = None if text is None else facts_in(text, f"{ledger.folder.root}/{name}")
    return newest if found == _about(mark, newest) else mark.source_version


def remember(runs: Runs, mark: Bookmark, version: int) -> None:
    """Note that the source brought nothing new between a bookmark and a version; best effort.

    Args:
        runs: The runs of the job.
        mark: The bookmark of its target.
        version: The version.
    """
    try:
        ledger = _of(runs, mark)
        if ledger is not None and version > seen_after(runs, mark):
            ledger.create(f"seen.{version}.json", signed(_about(mark, version)))
    except (LedgerError, OSError) as error:
        logger.warning("It could not be noted that nothing is new up to version %d: %s", version, error)


def _of(runs: Runs, mark: Bookmark) -> Ledger | None:
    """The ledger of the run that left a bookmark."""
    for _, _, ledger in reversed(runs.all()):
        report = report_in(ledger)
        if report is not None and Bookmark.of_facts(report) == mark:
            return ledger
    return None


def _about(mark: Bookmark, version: int) -> dict[str, str | int]:
    return {"source_id": mark.source_id, "after": mark.source_version, "seen": version}
