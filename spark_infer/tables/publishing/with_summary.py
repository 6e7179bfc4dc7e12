"""Publish the summary of a run into a table of its own, when all of its predictions are published."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from spark_infer.runtime.process_state import this_process
from spark_infer.tables.ledger.entry import Sealed
from spark_infer.tables.ledger.ledger import UNITS
from spark_infer.tables.publishing.work import Ended, Publisher, PublishWork
from spark_infer.tables.sink.sink_spec import WrittenFile
from spark_infer.tables.storage import Storage

MakeSummary = Callable[[Sequence[Sealed], Storage], list[WrittenFile]]
"""Makes the summary of units in a folder, and has the disk keep its files."""


class WithSummary:
    """Publishes the predictions first, and the summary after them.

    The summary is a run of one unit, with a ledger of its own in that of the run. Its entry decides: whichever driver
    seals it first has made the summary, and from then on the table takes these files once, whatever is killed when. It
    is sealed before the end of the predictions, so that a summary that cannot be made is known before a target is
    replaced; and seen after them, so that whoever reads it finds all the rows that it speaks of.

    Args:
        target: Publishes the predictions.
        summary: Publishes the summary.
        work: The summary's run.
        make: Makes it.
    """

    def __init__(self, target: Publisher, summary: Publisher, work: PublishWork, make: MakeSummary) -> None:
        self.one_by_one = target.one_by_one
        self._target = target
        self._summary = summary
        self._work = work
        self._make = make

    def publish(self, sealed: Sealed) -> int | None:
        """Publish a unit of the predictions."""
        return self._target.publish(sealed)

    def finish(self, entries: Sequence[Sealed]) -> Ended:
        """Publish what is left of the predictions, then the summary."""
        summary = self._sealed(entries)
        ended = self._target.finish(entries)
        this_process().failpoints.reach("summarised")
        if self._summary.one_by_one:
            self._summary.publish(summary)
        self._summary.finish([summary])
        return ended

    def _sealed(self, entries: Sequence[Sealed]) -> Sealed:
        ledger, session = self._work.ledger, self._work.session
        if not ledger.is_sealed(0):
            into = ledger.staged(session)
            ledger.make_folder(ledger.folder.below(UNITS))
            ledger.make_folder(into)
            ledger.seal(Sealed(unit=0, session=session, files=tuple(self._make(entries, into))))
        return ledger.sealed(0)
