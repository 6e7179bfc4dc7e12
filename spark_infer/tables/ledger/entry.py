"""What the ledger says of a unit: the files that hold its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from spark_infer.tables.ledger.signed import damaged, facts_in, leads_outside, signed
from spark_infer.tables.paths import is_name, stays_inside
from spark_infer.tables.sink.sink_spec import WrittenFile

_FILES = ("files", "quarantined", "parts", "cached")


@dataclass(frozen=True, kw_only=True)
class Sealed:
    """A unit that is scored, with all of its files checked.

    Attributes:
        unit: Its ordinal, from 0.
        session: The command that scored it; its files were written into the folder of this name.
        files: The files of scored rows, below that folder.
        quarantined: Those of rows that the model fails for, there too.
        parts: Those that hold parts of the run's summary, there too.
        cached: Those of new predictions for the prediction cache, there too.
        stats: What its tasks cost, as they told it.
        seconds: Wall seconds from the first of its tasks to the seal.
    """

    unit: int
    session: str
    files: tuple[WrittenFile, ...]
    quarantined: tuple[WrittenFile, ...] = ()
    parts: tuple[WrittenFile, ...] = ()
    cached: tuple[WrittenFile, ...] = ()
    stats: tuple[Mapping[str, Any], ...] = ()
    seconds: float = 0.0

    @property
    def rows(self) -> int:
        """Rows in its files."""
        return sum(file.rows for file in self.files)

    @property
    def every_file(self) -> tuple[WrittenFile, ...]:
        """All that its tasks wrote and somebody counts on."""
        return (*self.files, *self.quarantined, *self.parts, *self.cached)

    def aside(self) -> Sealed:
        """The unit as the table of quarantined rows sees it."""
        return self._with_only(self.quarantined)

    def for_cache(self) -> Sealed:
        """The unit as the prediction cache sees it."""
        return self._with_only(self.cached)

    def _with_only(self, files: tuple[WrittenFile, ...]) -> Sealed:
        return replace(self, files=files, quarantined=(), parts=(), cached=())

    def to_json(self) -> bytes:
        """Write it as JSON."""
        files = {name: [vars(file) for file in getattr(self, name)] for name in _FILES}
        return signed({**vars(self), **files})

    @classmethod
    def from_json(cls, text: bytes, where: str) -> Sealed:
        """Read it from JSON.

        Raises:
            LedgerError: The text is not what `to_json` writes, or names a file outside the folder of its session.
        """
        try:
            facts = facts_in(text, where)
            lists: dict[str, Any] = {name: tuple(map(_file, facts.pop(name, ()))) for name in _FILES}
            sealed = cls(**lists, stats=tuple(facts.pop("stats")), **facts)
            if not is_name(sealed.session) or not all(stays_inside(file.path) for file in sealed.every_file):
                raise leads_outside(where)
        except (TypeError, KeyError, AttributeError) as error:
            raise damaged(where) from error
        return sealed


def _file(facts: Mapping[str, Any]) -> WrittenFile:
    return WrittenFile(**facts)


def ordinals(names: Sequence[str]) -> list[int]:
    """The units of the entries with these names."""
    return sorted(int(name.removesuffix(".json")) for name in names if name.removesuffix(".json").isdigit())
