"""A run that several drivers do at the same time: what one of them does where another was quicker."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from pyarrow import ArrowException

from spark_infer.errors import WriteError
from spark_infer.job.units.drive import Outcome
from spark_infer.job.units.runs import report_in
from spark_infer.tables.ledger.ledger import Ledger

logger = logging.getLogger(__name__)

_TRIES = 5
_PAUSE_SECONDS = 0.5
_DISTURBED = (WriteError, ArrowException, OSError)
"""What a driver meets whose files another one has put into their place, or removed because the run is finished."""


def drive_shared(
    ledger: Ledger, session: str, drive: Callable[[], Outcome], sleep: Callable[[float], None] = time.sleep
) -> Outcome | Mapping[str, Any]:
    """Drive a run to its end, beside other drivers of it.

    A driver that publishes a run moves all its files, and the last one removes the folders that tasks of slower drivers
    still write into. Such a driver looks at the ledger again; it fails only where nobody else is at work.

    Args:
        ledger: The run's account.
        session: The name of this command.
        drive: Does what is left; another call goes on from there.
        sleep: Waits.

    Returns:
        What was done; or the report of the run, where another driver has finished it.
    """
    before = set(ledger.done())
    for left in reversed(range(_TRIES)):
        try:
            outcome = drive()
        except Exception as error:
            if (report := report_in(ledger)) is not None:
                return report
            if not left or not isinstance(error, _DISTURBED) or not _others_at_work(ledger, session, before):
                raise
            logger.info("Another driver of run %s was quicker: %s", ledger.name, error)
            sleep(_PAUSE_SECONDS)
            continue
        if left < _TRIES - 1:
            _count_again(outcome, session, before)
        return outcome
    raise AssertionError("the last try returns or raises")


def _others_at_work(ledger: Ledger, session: str, before: set[int]) -> bool:
    """Whether another driver has done a unit since this command began."""
    return any(entry.session != session for unit, entry in ledger.all_sealed().items() if unit not in before)


def _count_again(outcome: Outcome, session: str, before: set[int]) -> None:
    """Count what was done before this command, and not before its last try."""
    outcome.done_before = len(before)
    outcome.rows_before = sum(entry.rows for entry in outcome.entries if entry.unit in before)
    outcome.done_elsewhere = sum(entry.session != session for entry in outcome.entries if entry.unit not in before)
