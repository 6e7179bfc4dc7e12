"""Publish new predictions into the prediction cache, together with the unit that they belong to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from spark_infer.errors import WriteError
from spark_infer.printable import counted
from spark_infer.runtime.process_state import this_process
from spark_infer.tables.ledger.entry import Sealed
from spark_infer.tables.publishing.work import Ended, Publisher


class WithCache:
    """Publishes the rows of a unit, and after them its new predictions.

    The entry of a unit names the files of both, and each table takes its own once, whatever is killed when. A cache
    that cannot be written, or that somebody cleaned meanwhile, costs predictions and no rows: the report says so.

    Args:
        target: Publishes the rows.
        cache: Publishes the predictions, unit by unit.
    """

    def __init__(self, target: Publisher, cache: Publisher) -> None:
        self.one_by_one = target.one_by_one
        self._target = target
        self._cache = cache
        self._lost: dict[int, str] = {}

    def publish(self, sealed: Sealed) -> int | None:
        """Publish a unit in both tables; returns the version of the target."""
        version = self._target.publish(sealed)
        if self.one_by_one:
            self._add(sealed)
        return version

    def finish(self, entries: Sequence[Sealed]) -> Ended:
        """Publish what is left in both tables."""
        ended = self._target.finish(entries)
        if not self.one_by_one:
            for sealed in entries:
                self._add(sealed)
        if not self._lost:
            return ended
        why = next(iter(self._lost.values()))
        note = f"the prediction cache lacks what {counted(len(self._lost), 'unit')} predicted: {why}"
        return replace(ended, notes=(*ended.notes, note))

    def _add(self, sealed: Sealed) -> None:
        this_process().failpoints.reach("cache")
        try:
            self._cache.publish(sealed.for_cache())
        except WriteError as error:
            self._lost[sealed.unit] = error.what
