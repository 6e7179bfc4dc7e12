"""Publish what the model fails for into a table of its own, together with the unit that it belongs to."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from spark_infer.runtime.process_state import this_process
from spark_infer.tables.ledger.entry import Sealed
from spark_infer.tables.publishing.work import Ended, Publisher


class WithQuarantine:
    """Two publishers, of which the one of quarantined rows goes first.

    No table format has a transaction over two tables. What decides is the ledger: the entry of a unit names the files
    of both, and from then on each table takes its own once, in this order, whatever is killed when. So whoever sees the
    predictions of a unit finds its quarantined rows; and a run that was killed in between goes on with the predictions.

    Args:
        target: Publishes the predictions.
        aside: Publishes the quarantined rows, unit by unit.
    """

    def __init__(self, target: Publisher, aside: Publisher) -> None:
        self.one_by_one = target.one_by_one
        self._target = target
        self._aside = aside

    def publish(self, sealed: Sealed) -> int | None:
        """Publish a unit in both tables; returns the version of the target."""
        if self.one_by_one:
            self._aside.publish(sealed.aside())
        return self._target.publish(sealed)

    def finish(self, entries: Sequence[Sealed]) -> Ended:
        """Publish what is left in both tables."""
        aside = [sealed.aside() for sealed in entries]
        for each in aside:
            self._aside.publish(each)
        self._aside.finish(aside)
        return self._target.finish(entries)


class ThenRemoved:
    """A publisher after whose end rows leave another table: those that were scored again.

    They are in one of the tables at any moment, and in both between the two steps. A run that was killed there is
    unfinished, and the same command takes the second one.

    Args:
        publisher: Publishes the rows.
        remove: Has them leave the other table; happens once, however often it is called.
    """

    def __init__(self, publisher: Publisher, remove: Callable[[], None]) -> None:
        self.one_by_one = publisher.one_by_one
        self._publisher = publisher
        self._remove = remove

    def publish(self, sealed: Sealed) -> int | None:
        """Publish a unit."""
        return self._publisher.publish(sealed)

    def finish(self, entries: Sequence[Sealed]) -> Ended:
        """Publish what is left, and remove the rows from where they were."""
        ended = self._publisher.finish(entries)
        this_process().failpoints.reach("leave")
        self._remove()
        return ended
