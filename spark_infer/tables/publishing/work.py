"""What a publisher needs to know of a run, and what it promises."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from spark_infer.tables.bookmark import BookmarkMove
from spark_infer.tables.ledger.entry import Sealed
from spark_infer.tables.ledger.ledger import Ledger
from spark_infer.tables.plan import WritePlan, Written
from spark_infer.tables.sink.sink_spec import SinkSpec, WrittenFile
from spark_infer.tables.storage import Storage


@dataclass(frozen=True)
class Txn:
    """What makes a commit recognisable in a table's log, which takes each version of an application once.

    Attributes:
        app: The application.
        version: Its version.
        also: Further ones of the same commit.
    """

    app: str
    version: int
    also: tuple[Txn, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PublishWork:
    """A run as a publisher sees it.

    Attributes:
        plan: The write, as it was planned when the run began.
        table: The target's folder.
        sink: What the files hold; None where Spark writes them.
        schema: The target's columns.
        facts: What the run wants to be remembered by in the target's history.
        ledger: The run's account, whose folder also holds what is staged.
        session: The command that publishes.
        bookmark: How an incremental run moves the bookmark of its target; None for other runs.
    """

    plan: WritePlan
    table: Storage
    sink: SinkSpec | None
    schema: pa.Schema
    facts: Mapping[str, str | int | float]
    ledger: Ledger
    session: str
    bookmark: BookmarkMove | None = None

    @property
    def app(self) -> str:
        """The application that a table's log knows the run as."""
        return app_of(self.ledger, str(self.facts["run_id"]))

    def txn(self, unit: int) -> Txn:
        """What the commit of a unit is recognised by; a run that is published at once has that of unit 0."""
        moved = () if self.bookmark is None else (Txn(self.bookmark.to.app, self.bookmark.to.source_version),)
        return Txn(self.app, unit + 1, moved)

    def stamp(self, **more: int) -> str:
        """The ``userMetadata`` of a commit."""
        return json.dumps({**self.facts, **more}, separators=(",", ":"))

    def folder(self, session: str) -> Storage:
        """Where the tasks of one command write: out of readers' sight, but for object stores, which cannot rename."""
        staged = self.table.renames_atomically or self.plan.merges
        return self.ledger.staged(session) if staged else self.table


def app_of(ledger: Ledger, run_id: str) -> str:
    """The application that a table's log knows a run as: another for each run, also where the ledger was removed."""
    return f"spark_infer/{ledger.name}/{run_id}"


@dataclass(frozen=True, kw_only=True)
class Ended:
    """What the end of publishing came to.

    Attributes:
        version: The Delta version that it made; None where it made none.
        replaced: Rows of the target whose place a scored row took, by key; None but for a merge.
        added: Rows that a merge added; None but for a merge.
        removed: Rows that a merge took out of the target; None where it takes none.
        notes: What the reader of the report should know.
        written: What the engine wrote of its own, where it did not move the files of the units.
    """

    version: int | None = None
    replaced: int | None = None
    added: int | None = None
    removed: int | None = None
    notes: tuple[str, ...] = ()
    written: Written | None = None


class Publisher(Protocol):
    """Makes the files of sealed units part of the target; whatever it is called twice for happens once.

    Attributes:
        one_by_one: Whether units are published as they are done, in their order; else all at once when all are done.
    """

    one_by_one: bool

    def publish(self, sealed: Sealed) -> int | None:
        """Publish a unit after all before it; returns the Delta version where there is one and this call made it."""

    def finish(self, entries: Sequence[Sealed]) -> Ended:
        """Publish what is left when all units are sealed."""


def all_files(entries: Sequence[Sealed]) -> list[WrittenFile]:
    """The files of some units, in the units' order."""
    return [file for sealed in entries for file in sealed.files]


def emptied_notes(before: Iterable[str], after: Iterable[str]) -> tuple[str, ...]:
    """Say which table partitions a write took all rows out of and put none into.

    Args:
        before: Their folders, as Spark names them, before the write.
        after: The same after it.
    """
    return tuple(f"The partition {each} got no row and was emptied." for each in sorted({*before} - {*after} - {""}))
