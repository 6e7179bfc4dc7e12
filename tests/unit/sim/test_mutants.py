"""What the simulation is worth: each of these mistakes, planted, is found.

Without a mistake the same lives go well: they are among those of test_delta.py and test_parquet.py.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from pyarrow import ArrowException

from spark_infer.errors import WriteError
from spark_infer.job.units import concurrent_drivers
from spark_infer.job.units import drive as drive_module
from spark_infer.job.units.concurrent_drivers import Turns, Watched
from spark_infer.job.units.drive import _InOrder
from spark_infer.job.units.start import Start
from spark_infer.tables.bookmark import Bookmark
from spark_infer.tables.delta import publish as delta_publish
from spark_infer.tables.delta import written_before
from spark_infer.tables.delta.publish import AppendUnits
from spark_infer.tables.delta.written_before import taken
from spark_infer.tables.ledger.drivers import last_beat
from spark_infer.tables.ledger.entry import Sealed
from spark_infer.tables.ledger.ledger import Ledger
from spark_infer.tables.ledger.signed import stamped
from spark_infer.tables.parquet import publish as parquet_publish
from spark_infer.tables.plan import WritePlan
from spark_infer.tables.publishing.move_files import READY, STAGED
from spark_infer.tables.publishing.with_cache import WithCache
from spark_infer.tables.publishing.with_quarantine import ThenRemoved, WithQuarantine
from spark_infer.tables.publishing.with_summary import WithSummary
from spark_infer.tables.publishing.work import PublishWork
from spark_infer.tables.storage import Storage
from tests.unit.sim import command as command_module
from tests.unit.sim.again import AgainWorld
from tests.unit.sim.by_key import MODES as KEYED
from tests.unit.sim.by_key import KeyedWorld
from tests.unit.sim.command import NEW_ROWS
from tests.unit.sim.disk import SimDisk
from tests.unit.sim.lives import live
from tests.unit.sim.log import SimReady
from tests.unit.sim.world import MODES, World, has_cache, has_summary, is_patient

LIVES = 250
ALL = [*itertools.product(("delta", "parquet"), MODES), ("delta", NEW_ROWS)]

Patch = pytest.MonkeyPatch


def no_read_back(patch: Patch) -> None:
    """A commit whose reply was lost is made again."""
    patch.setattr(SimReady, "published", lambda self, app: 0)
    patch.setattr(AppendUnits, "__init__", _blind)


def _blind(self: AppendUnits, work: Any, log: Any) -> None:
    self._work, self._log, self._ready, self._published, self._before, self._versions = work, log, None, 0, [], []


def out_of_order(patch: Patch) -> None:
    """A unit is committed as soon as it is sealed."""

    def go_on(self: Any, sealed: Any) -> None:
        for unit in sorted(sealed, reverse=True):
            if self._publisher.one_by_one:
                self._publisher.publish(sealed[unit])

    patch.setattr(_InOrder, "go_on", go_on)


def not_exclusive(patch: Patch) -> None:
    """Two drivers may both seal a unit."""
    create = SimDisk.create

    def overwrite(self: SimDisk, path: str, content: bytes, *, mode: int = 0o600) -> bool:
        if "/units/" in path:
            self.nodes.pop(path, None)
        return create(self, path, content)

    patch.setattr(SimDisk, "create", overwrite)


def sealed_before_stored(patch: Patch) -> None:
    """A unit is sealed before its files are on the disk."""
    patch.setattr(command_module, "stored", lambda folder, scored: None)


def no_fencing(patch: Patch) -> None:
    """A driver works on the staged folder without taking it; that is for what is put in its place as a whole."""

    def borrow(run: Storage, session: str, paths: Any) -> Storage | None:
        return run.below(STAGED) if run.kind(STAGED) else None

    patch.setattr(delta_publish, "take", borrow)
    patch.setattr(parquet_publish, "take", borrow)


def exchanged_twice(patch: Patch) -> None:
    """A driver that goes on does not look whether the tables were exchanged."""
    holds = parquet_publish._holds

    def blind(folder: Storage, files: Any) -> bool:
        return folder.name.startswith(READY) or holds(folder, files)

    patch.setattr(parquet_publish, "_holds", blind)


def off_by_one(patch: Patch) -> None:
    """The next unit counts as published."""
    publish = AppendUnits.publish

    def late(self: AppendUnits, sealed: Any) -> int | None:
        return None if sealed.unit <= self._published and sealed.unit else publish(self, sealed)

    patch.setattr(AppendUnits, "publish", late)


def unreadable_is_absent(patch: Patch) -> None:
    """A log that cannot be read counts as one that has nothing."""

    def silent(storage: Storage, app: str) -> int | None:
        try:
            return taken(storage, app)
        except WriteError:
            return 0

    patch.setattr(written_before, "taken", silent)


def never_settled(patch: Patch) -> None:
    """A run is called finished before its files have their names for good."""
    patch.setattr(delta_publish, "settle", lambda table, paths: None)
    patch.setattr(parquet_publish, "settle", lambda table, paths: None)
    keep = SimDisk.keep

    def only_staged(self: SimDisk, root: str, paths: Any) -> None:
        if ".spark_infer" in root:
            keep(self, root, paths)

    patch.setattr(SimDisk, "keep", only_staged)


def tidies_too_much(patch: Patch) -> None:
    """A failure removes the files of units that this command has sealed."""

    def tidy(ledger: Ledger, folder: Storage, session: str) -> None:
        for path in folder.every_path():
            folder.files.delete_file(folder.at(path))

    patch.setattr(drive_module, "_tidy", tidy)


def finished_before_published(patch: Patch) -> None:
    """The report is written first."""
    drive = drive_module.drive

    def hasty(ledger: Ledger, *args: Any, **named: Any) -> Any:
        ledger.finish(stamped({"app": "", "some_files": ["none"]}))
        return drive(ledger, *args, **named)

    patch.setattr(command_module, "drive", hasty)


def cleans_what_is_needed(patch: Patch) -> None:
    """What is staged is removed when all is sealed, and not when all is published."""
    finish = parquet_publish.PublishWhole.finish

    def early(self: Any, entries: Any) -> Any:
        self._work.ledger.discard(["files"])
        return finish(self, entries)

    patch.setattr(parquet_publish.PublishWhole, "finish", early)


def half_a_file(patch: Patch) -> None:
    """Files are written straight into the table."""
    patch.setattr(PublishWork, "folder", lambda self, session: self.table)


def predictions_first(patch: Patch) -> None:
    """The predictions of a unit are published before the rows that are missing among them."""

    def publish(self: WithQuarantine, sealed: Any) -> int | None:
        version = self._target.publish(sealed)
        self._aside.publish(sealed.aside())
        return version

    def finish(self: WithQuarantine, entries: Any) -> Any:
        ended = self._target.finish(entries)
        for sealed in entries:
            self._aside.publish(sealed.aside())
        return ended

    patch.setattr(WithQuarantine, "publish", publish)
    patch.setattr(WithQuarantine, "finish", finish)


def quarantine_not_sealed(patch: Patch) -> None:
    """The entry of a unit does not name its quarantined files: only the command that scored it knows them."""
    to_json = Sealed.to_json
    patch.setattr(Sealed, "to_json", lambda self: to_json(replace(self, quarantined=())))


def leaves_first(patch: Patch) -> None:
    """Rows that are scored again leave the quarantine before their predictions are in the target."""

    def finish(self: ThenRemoved, entries: Any) -> Any:
        self._remove()
        return self._publisher.finish(entries)

    patch.setattr(ThenRemoved, "finish", finish)


def never_leaves(patch: Patch) -> None:
    """What was killed before rows left the quarantine takes them for gone."""
    patch.setattr(ThenRemoved, "finish", lambda self, entries: self._publisher.finish(entries))


def moves_unit_by_unit(patch: Patch) -> None:
    """Rows that are scored again are seen in the target while others of the run are not scored."""
    patch.setattr(WritePlan, "one_by_one", WritePlan.adds_to_table)


def removed_not_stored(patch: Patch) -> None:
    """A power cut brings removed files back."""
    keep = SimDisk.keep

    def only_files(self: SimDisk, root: str, paths: Iterable[str]) -> None:
        keep(self, root, [path for path in paths if not path.endswith(("p=0", "p=1"))])

    patch.setattr(SimDisk, "keep", only_files)


def predictions_not_sealed(patch: Patch) -> None:
    """The entry of a unit does not name its new predictions: only the command that scored it knows them."""
    to_json = Sealed.to_json
    patch.setattr(Sealed, "to_json", lambda self: to_json(replace(self, cached=())))


def predictions_of_units_alone(patch: Patch) -> None:
    """New predictions are kept unit by unit, also where units are published at the end."""
    patch.setattr(WithCache, "finish", lambda self, entries: self._target.finish(entries))


def predictions_by_the_session(patch: Patch) -> None:
    """New predictions have names of their own in each command that publishes them."""
    add = WithCache._add

    def again(self: WithCache, sealed: Any) -> None:
        for file in sealed.cached:
            there = self._cache._work.folder(sealed.session)  # type: ignore[attr-defined]
            if (content := there.read(file.path)) is not None:
                path = f"p=0/unit-{sealed.unit}-again-{self._cache._work.session}"  # type: ignore[attr-defined]
                there.files.write(self._cache._work.table.at(path), content)  # type: ignore[attr-defined]
        add(self, sealed)

    patch.setattr(WithCache, "_add", again)


def parts_not_sealed(patch: Patch) -> None:
    """The entry of a unit does not name the parts of the summary: those of an earlier command are left out."""
    to_json = Sealed.to_json
    patch.setattr(Sealed, "to_json", lambda self: to_json(replace(self, parts=())))


def summary_first(patch: Patch) -> None:
    """The summary is published before the predictions that it is of."""

    def finish(self: WithSummary, entries: Any) -> Any:
        summary = self._sealed(entries)
        if self._summary.one_by_one:
            self._summary.publish(summary)
        self._summary.finish([summary])
        return self._target.finish(entries)

    patch.setattr(WithSummary, "finish", finish)


def summary_not_sealed(patch: Patch) -> None:
    """Each command makes a summary of its own."""

    def made(self: WithSummary, entries: Any) -> Sealed:
        into = self._work.ledger.staged(self._work.session)
        self._work.ledger.make_folder(into)
        return Sealed(unit=0, session=self._work.session, files=tuple(self._make(entries, into)))

    patch.setattr(WithSummary, "_sealed", made)


def summary_beside_the_rows(patch: Patch) -> None:
    """The summary is staged in the folder of the run itself, where the target's files are."""
    patch.setattr(Ledger, "of_summary", lambda self: self)


def no_time_is_the_end(patch: Patch) -> None:
    """Units that there was no time for count as done, with no rows."""
    sealed = Ledger.sealed

    def lenient(self: Ledger, unit: int) -> Sealed:
        return sealed(self, unit) if self.is_sealed(unit) else Sealed(unit=unit, session="", files=(), stats=())

    patch.setattr(Ledger, "sealed", lenient)
    patch.setattr(drive_module._Wanted, "late", lambda self: set())


def rows_before_the_bookmark(patch: Patch) -> None:
    """Units of new rows are seen as they are done, and the bookmark after the last."""
    patch.setattr(WritePlan, "one_by_one", property(lambda self: self.mode.adds_only and self.exists))


def bookmark_elsewhere(patch: Patch) -> None:
    """The commit of the rows does not say that it moves the bookmark."""
    patch.setattr(Bookmark, "to_facts", lambda self: {})


def planned_before_others(patch: Patch) -> None:
    """A run adds the rows that were new when it was planned, whoever has added them since."""
    patch.setattr(command_module, "refuse_moved_bookmark", lambda facts, now, target: None)


def cut_again(patch: Patch) -> None:
    """A run that goes on has the units of the rows that are new now, and not those that it was cut into."""
    patch.setattr(Start, "with_units", lambda self, units: replace(self, units=tuple(units)))


def never_waits(patch: Patch) -> None:
    """Drivers take the staged folder from each other, and the slower one fails, as it did before there were turns."""
    patch.setattr(Turns, "wait", lambda self: None)
    patch.setattr(concurrent_drivers, "_DISTURBED", (WriteError, ArrowException, OSError))


def never_looks_again(patch: Patch) -> None:
    """A driver fails where another one has finished the run meanwhile, or has taken over from it."""
    patch.setattr(command_module, "drive_shared", lambda turns, drive: drive())


def waits_for_the_dead(patch: Patch) -> None:
    """Nobody takes over from a driver that was killed or hangs."""
    patch.setattr(Watched, "is_gone", lambda self, session: last_beat(self._ledger, session) is None)


MUTANTS: list[Callable[[Patch], None]] = [
    no_read_back,
    out_of_order,
    not_exclusive,
    sealed_before_stored,
    no_fencing,
    exchanged_twice,
    off_by_one,
    unreadable_is_absent,
    never_settled,
    tidies_too_much,
    finished_before_published,
    cleans_what_is_needed,
    half_a_file,
    predictions_first,
    quarantine_not_sealed,
    parts_not_sealed,
    summary_first,
    summary_not_sealed,
    summary_beside_the_rows,
    no_time_is_the_end,
    rows_before_the_bookmark,
    bookmark_elsewhere,
    never_waits,
    never_looks_again,
    waits_for_the_dead,
    predictions_not_sealed,
    predictions_of_units_alone,
    predictions_by_the_session,
]


OF_AGAIN = (leaves_first, never_leaves, moves_unit_by_unit, removed_not_stored)
"""What only shows where quarantined rows are scored again."""

OF_KEYS = (planned_before_others, cut_again)
"""What only shows where rows are new by their keys."""

OF_SUMMARIES = (parts_not_sealed, summary_first, summary_not_sealed, summary_beside_the_rows)
"""What only shows where runs have a summary."""

OF_CACHES = (predictions_not_sealed, predictions_of_units_alone, predictions_by_the_session)
"""What only shows where runs have a prediction cache."""

OF_TURNS = (never_waits, never_looks_again, waits_for_the_dead)
"""What only shows where drivers wait for each other, and so expect to end well."""

SHOWS_IN: dict[Callable[[Patch], None], tuple[str, str]] = {
    no_fencing: ("delta", "error_if_exists"),
    exchanged_twice: ("parquet", "overwrite"),
    unreadable_is_absent: ("delta", NEW_ROWS),
    summary_not_sealed: ("parquet", "append"),
    never_waits: ("parquet", "overwrite"),
    never_looks_again: ("parquet", "append"),
}
"""Where mistakes show that hundreds of lives of all kinds would have to look for."""


def lives(
    kinds: Sequence[tuple[str, str]] = ALL, wanted: Callable[[int], bool] = lambda seed: True
) -> Iterator[tuple[int, str, str]]:
    for seed in filter(wanted, range(LIVES)):
        yield from ((seed, kind, mode) for kind, mode in kinds)


def live_many(several: Iterable[tuple[int, str, str]], made: type[World] = World) -> None:
    for life in several:
        live(*life, made)


@pytest.mark.parametrize("mutant", OF_AGAIN, ids=lambda mutant: mutant.__name__)
def test_a_mistake_with_quarantined_rows_is_found(
    mutant: Callable[[Patch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    mutant(monkeypatch)
    with pytest.raises(AssertionError):
        live_many(lives([("delta", "append"), ("parquet", "append")]), AgainWorld)


@pytest.mark.parametrize("mutant", OF_KEYS, ids=lambda mutant: mutant.__name__)
def test_a_mistake_with_keys_is_found(mutant: Callable[[Patch], None], monkeypatch: pytest.MonkeyPatch) -> None:
    mutant(monkeypatch)
    with pytest.raises((AssertionError, IndexError)):
        live_many(lives([*KEYED.items()]), KeyedWorld)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_a_mistake_is_found(mutant: Callable[[Patch], None], monkeypatch: pytest.MonkeyPatch) -> None:
    mutant(monkeypatch)
    worlds = is_patient if mutant in OF_TURNS else has_summary if mutant in OF_SUMMARIES else lambda seed: True
    worlds = has_cache if mutant in OF_CACHES else worlds
    several = lives([SHOWS_IN[mutant]] if mutant in SHOWS_IN else ALL, worlds)
    with pytest.raises((AssertionError, ValueError, KeyError, IndexError)):
        live_many(several)
