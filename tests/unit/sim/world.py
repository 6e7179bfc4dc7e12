"""Drivers, a disk and a fate for all of them, decided by one seed."""

from __future__ import annotations

import json
import posixpath
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any

from greenlet import greenlet

from spark_infer.engines.unit import Unit
from spark_infer.errors import SparkInferError
from spark_infer.tables.delta.bookmarks import bookmark_in
from spark_infer.tables.parquet.table_snapshot import EMPTY_TABLE_FILE
from spark_infer.tables.scan.task import Piece, ScanTask
from spark_infer.tables.storage import Storage
from tests.unit.sim.command import BOOKMARK, CACHED, NEW_ROWS, SUMMARISED, bad_keys_of, command, keys_of
from tests.unit.sim.disk import SimDisk
from tests.unit.sim.log import commit_in, commit_text, live

TABLE, ASIDE, SUMMARY, CACHE = "/w/t", "/w/q", "/w/s", "/w/c"
OLD = {"p=0/old-0": [-4, -2], "p=1/old-1": [-3, -1]}
CROWDS = ((1,), (1, 1, 2), (1, 2, 3))
"""How many drivers begin at once: in each life one of a line."""
MOST_STEPS = 20_000
MODES = ("error_if_exists", "append", "overwrite", "overwrite_partitions")


def is_patient(seed: int) -> bool:
    """Whether drivers wait for each other, in the life of a seed; with and without quarantined rows."""
    return seed % 4 < 2


def has_summary(seed: int) -> bool:
    """Whether runs have a summary, in the life of a seed; with patient drivers and with others."""
    return seed % 8 in (3, 4)


def has_cache(seed: int) -> bool:
    """Whether runs have a prediction cache, in the life of a seed; with patient drivers and with others."""
    return seed % 8 in (1, 6)


class DeadError(BaseException):
    """Raised in a driver that was killed: nothing that it still does counts."""


@dataclass
class Driver:
    """One command.

    Attributes:
        name: For the trace.
        thread: Where it stands.
        dead: Whether it was killed.
        hung: For how many steps of others it does nothing, and then goes on.
        harmed: Whether the disk has failed it.
        beat: Shows others that it is at work; None where it is at work on nothing.
        ended: What it came to; None while it runs.
    """

    name: str
    thread: Any = None
    dead: bool = False
    hung: int = 0
    harmed: bool = False
    beat: Callable[[], None] | None = None
    ended: str | None = None


@dataclass
class World:
    """A table, its disk, and whoever works on it.

    Attributes:
        seed: Decides everything.
        kind: ``delta`` or ``parquet``.
        mode: The write mode.
        faults: How many faults are still to come.
        trace: What happened.
        wronged: The drivers that failed, and not because of their disk.
    """

    seed: int
    kind: str
    mode: str
    faults: int = 3
    trace: list[str] = field(default_factory=list)
    wronged: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = random.Random(f"{self.seed}-{self.kind}-{self.mode}")
        self.crowd = self.random.choice(CROWDS)
        self.quarantines = self.seed % 2 == 1
        self.summarises = has_summary(self.seed)
        self.caches = has_cache(self.seed)
        # In some worlds each driver takes all others for dead: that may cost errors, and never a row.
        self.silent_looks = 3 if is_patient(self.seed) else 0
        self.disk = SimDisk(self.random)
        self.disk.make_folder("/w")
        count = self.random.randint(1, 4)
        self.units = tuple(
            Unit(number, (ScanTask(number, (Piece(f"{number}.parquet", 1, rows=2),)),)) for number in range(count)
        )
        self.scheduler = greenlet.getcurrent()
        self.running: Driver | None = None
        self.new_was_seen = False
        self.checked = -1
        self.leaving: tuple[str, ...] = ()
        self.known: Callable[[], list[int]] | None = None
        if self.mode != "error_if_exists":
            self._make_old(TABLE)
        if self.summarises and self.seed % 16 >= 8:
            self._make_old(SUMMARY)
        self.summary_before = self.seen(SUMMARY)
        self.before = self.seen()
        self.disk.step = self.step

    @property
    def table(self) -> Storage:
        return Storage(f"file://{TABLE}", TABLE, self.disk)

    @property
    def aside(self) -> Storage | None:
        return Storage(f"file://{ASIDE}", ASIDE, self.disk) if self.quarantines else None

    @property
    def summary(self) -> Storage | None:
        return Storage(f"file://{SUMMARY}", SUMMARY, self.disk) if self.summarises else None

    @property
    def cache(self) -> Storage | None:
        return Storage(f"file://{CACHE}", CACHE, self.disk) if self.caches else None

    @property
    def new_keys(self) -> list[int]:
        return [key for unit in self.units for key in keys_of(unit)]

    @property
    def after(self) -> list[int]:
        return sorted(self.new_keys + (self.before if self.mode in ("append", NEW_ROWS) else []))

    # What a driver meets at every step.

    def step(self, what: str) -> str:
        driver = self.running
        if driver is None:
            return "ok"
        if driver.dead:
            raise DeadError
        self.scheduler.switch()
        if driver.dead:
            raise DeadError
        fate = self._fate()
        self.trace.append(f"{driver.name}: {what} {fate}")
        if fate == "hang":
            driver.hung = self.random.randint(20, 200)
            self.scheduler.switch()
            if driver.dead:
                raise DeadError
            return "ok"
        if fate == "kill":
            driver.dead = True
            raise DeadError
        if fate == "power":
            self.disk.cut_power()
            self.new_was_seen = False  # what was not stored yet may be as it was
            for each in self.drivers:
                each.dead = True
            raise DeadError
        driver.harmed = driver.harmed or fate != "ok"
        return fate

    def _fate(self) -> str:
        if self.faults == 0 or self.random.random() > 0.08:
            return "ok"
        self.faults -= 1
        return self.random.choice(["kill", "kill", "hang", "power", "lost", "refused"])

    # The life of the world.

    def run(self) -> None:
        """Let drivers work until all is done, and check what can be seen after every step."""
        self.drivers: list[Driver] = []
        for round_ in range(40):
            count = self.random.choice(self.crowd) if self.faults else 1
            self.drivers = [self._driver(f"{round_}{letter}") for letter in "abc"[:count]]
            self._until_all_end()
            for each in self.drivers:
                self._bury(each)
            if not self.faults and all(each.ended in ("done", "nothing") for each in self.drivers):
                break
        else:
            raise AssertionError("it never ends")
        for self.faults in (1, 0):  # the same command, which has nothing left to do, may meet a fault too
            ended = self._once_more()
        assert ended == "nothing", ended
        self.check_end()

    def _until_all_end(self) -> None:
        for _ in range(MOST_STEPS):
            alive = [each for each in self.drivers if not each.dead and each.ended is None]
            if not alive:
                return
            awake = [each for each in alive if not each.hung]
            for each in alive:
                each.hung = max(0, each.hung - 1) if awake else 0
            self._go(self.random.choice(awake or alive))
            self.check()
        raise AssertionError("a driver never ends")

    def _once_more(self) -> str | None:
        """Let a driver come after the end; returns what that came to, None where it was killed."""
        driver = self._driver("last")
        self.drivers = [driver]
        self._until_all_end()
        assert driver.ended != "done", "it is done twice"
        return driver.ended

    def _driver(self, name: str, day: int | None = None) -> Driver:
        driver = Driver(name)

        def work() -> None:
            try:
                driver.ended = command(
                    self.table,
                    self.aside,
                    self.summary,
                    self.disk,
                    self.kind,
                    self.mode,
                    self.units,
                    self.random,
                    cache=self.cache,
                    day=day,
                    leaving=self.leaving,
                    known=self.known,
                    beating=partial(self._beating, driver),
                    sleep=lambda seconds: self._sleep(),
                    silent_looks=self.silent_looks,
                )
            except DeadError:
                driver.dead = True
            except (SparkInferError, OSError) as error:
                driver.ended = f"failed: {type(error).__name__}: {error}"
            self.trace.append(f"{driver.name}: {driver.ended or 'killed'}")
            failed = (driver.ended or "").startswith("failed") and "StoppedError" not in (driver.ended or "")
            if failed and not driver.harmed and self.silent_looks:
                self.wronged.append(f"{driver.name}, whom the disk did not fail, {driver.ended}")

        driver.thread = greenlet(work)
        return driver

    @contextmanager
    def _beating(self, driver: Driver, beat: Callable[[], None]) -> Iterator[None]:
        driver.beat = beat
        yield
        driver.beat = None

    def _sleep(self) -> None:
        self.step("sleep")

    def _go(self, driver: Driver) -> None:
        for each in self.drivers:
            if each.beat is not None and not each.dead and not each.hung:
                each.beat()
        self.running = driver
        driver.thread.parent = self.scheduler
        driver.thread.switch()
        self.running = None

    def _bury(self, driver: Driver) -> None:
        if not driver.thread.dead and driver.thread:
            driver.dead = True
            self._go(driver)

    # What must hold.

    def seen(self, table: str = TABLE) -> list[int]:
        """The keys that a reader sees."""
        files = self.disk.files_below(table)
        if self.kind == "delta":
            there = live({path: commit_in(text) for path, text in files.items() if path.startswith("_delta_log/")})
            missing = [path for path in there if not files.get(path)]
            assert not missing, f"the log names files that are not there or empty: {missing}"
            return sorted(key for path in there for key in _keys_in(files[path]))
        data = [
            path for path in files if not any(part[0] in "._" for part in path.split("/")) and path != EMPTY_TABLE_FILE
        ]
        assert all(files[path] for path in data), "a reader sees half of a file"
        return sorted(key for path in data for key in _keys_in(files[path]))

    def check(self) -> None:
        assert not self.wronged, self.wronged[0]
        if self.checked == self.disk.changes:
            return  # most steps only read
        self.checked = self.disk.changes
        seen = self.seen()
        assert len(seen) == len(set(seen)), f"rows are doubled: {seen}"
        assert set(seen) <= set(self.before + self.new_keys), f"rows out of nowhere: {seen}"
        if self.mode == "append":
            assert set(self.before) <= set(seen), "rows of before are gone"
            if self.kind == "delta":
                added = [key for key in seen if key >= 0]
                assert any(added == self.new_keys[: 2 * n] for n in range(len(self.units) + 1)), "units out of order"
        elif self.mode == "overwrite_partitions" and self.kind == "parquet":
            for part in (0, 1):
                here = [key for key in seen if key % 2 == part]
                assert here in ([k for k in self.before if k % 2 == part], [k for k in self.after if k % 2 == part])
        else:
            assert seen in (self.before, self.after), f"neither old nor new: {seen}"
            assert not self.new_was_seen or seen == self.after, "the old rows are back"
            self.new_was_seen = self.new_was_seen or (seen == self.after and self.before != self.after)
        self._check_quarantine(seen)
        self._check_summary(seen)
        self._check_cache()
        if self.mode == NEW_ROWS:
            moved = bookmark_in(self.table, BOOKMARK.job) is not None
            assert moved == (seen == self.after), f"the bookmark is {'' if moved else 'not '}there, beside {seen}"
        if self.is_finished():
            assert seen == self.after, f"finished, and the rows are not there: {seen}"

    def _check_quarantine(self, seen: list[int]) -> None:
        """Rows of the input are predictions or quarantined: whoever sees the ones of a unit finds the others."""
        if not self.quarantines:
            return
        aside, wanted = self.seen(ASIDE), [key for unit in self.units for key in bad_keys_of(unit)]
        assert len(aside) == len(set(aside)), f"quarantined rows are doubled: {aside}"
        assert set(aside) <= set(wanted), f"quarantined rows out of nowhere: {aside}"
        for unit in self.units:
            if set(keys_of(unit)) & set(seen) or self.is_finished():
                assert set(bad_keys_of(unit)) <= set(aside), (
                    f"quarantined rows of unit {unit.ordinal} are lost: {aside}"
                )

    def _check_summary(self, seen: list[int]) -> None:
        """Whoever sees the summary of a run finds all rows that it is of; and it is there once."""
        if not self.summarises:
            return
        there, new = self.seen(SUMMARY), [SUMMARISED, SUMMARISED + 1]
        kept = [] if self.mode in ("overwrite", "overwrite_partitions") else self.summary_before
        after = sorted(kept + new)
        assert len(there) == len(set(there)), f"a summary is doubled: {there}"
        assert set(there) <= {*self.summary_before, *new}, f"a summary out of nowhere: {there}"
        assert not set(there) & set(new) or seen == self.after, f"a summary of rows that are not there: {there}, {seen}"
        assert there == after or not self.is_finished(), f"finished, and the summary is not there: {there}"

    def _check_cache(self) -> None:
        """New predictions are kept once, and all of them unless the disk refused some."""
        if not self.caches:
            return
        there, wanted = self.seen(CACHE), [CACHED + unit.ordinal for unit in self.units]
        assert len(there) == len(set(there)), f"predictions are doubled in the cache: {there}"
        assert set(there) <= set(wanted), f"predictions out of nowhere: {there}"
        refused = any(line.endswith((" refused", " lost")) for line in self.trace)
        assert there == wanted or refused or not self.is_finished(), f"finished, and predictions are lost: {there}"

    def is_finished(self) -> bool:
        return any(path.endswith("/report.json") for path in self.disk.files_below("/w/.t.spark_infer"))

    def check_end(self) -> None:
        assert self.seen() == self.after
        left = {posixpath.basename(path) for path in self.disk.files_below("/w/.t.spark_infer")}
        assert left <= {"plan.json", "report.json"} or any("closed" in each for each in left), f"left behind: {left}"
        files = {path for path in self.disk.files_below(TABLE) if not path.startswith("_delta_log/")}
        named = {path for path in files if path.rpartition("/")[2].startswith(("old-", "unit-"))}
        assert files == named, f"files of nobody: {files - named}"
        self.disk.cut_power()
        assert self.seen() == self.after, "a power cut after the end loses rows"
        self._check_quarantine(self.after)
        self._check_summary(self.after)
        self._check_cache()

    def _make_old(self, table: str) -> None:
        for path, keys in OLD.items():
            content = json.dumps(keys).encode()
            self.disk.make_folder(f"{table}/{posixpath.dirname(path)}")
            self.disk.create(f"{table}/{path}", content)
        if self.kind == "delta":
            self.disk.make_folder(f"{table}/_delta_log")
            self.disk.create(f"{table}/_delta_log/{0:020}.json", commit_text(list(OLD), [], "", None))


@lru_cache(maxsize=1_000)
def _keys_in(content: bytes) -> list[int]:
    """The keys of a file, which is read after every step of a life."""
    keys: list[int] = json.loads(content)
    return keys
