"""Drivers, a disk and a fate for all of them, decided by one seed."""

from __future__ import annotations

import json
import posixpath
import random
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
from greenlet import greenlet

from spark_infer.errors import SparkInferError, WriteError
from spark_infer.job.units.drive import Scored, clean, drive
from spark_infer.job.units.find import Runs, find_run
from spark_infer.job.units.presence import presence
from spark_infer.job.units.start import Start, begin
from spark_infer.job.units.unit import Unit
from spark_infer.tables.ledger.signed import stamped
from spark_infer.tables.location import TableLocation
from spark_infer.tables.plan import WritePlan
from spark_infer.tables.predicate import partition_scope
from spark_infer.tables.publishers.choice import publisher_of
from spark_infer.tables.publishers.work import PublishWork
from spark_infer.tables.scan.task import Piece, ScanTask
from spark_infer.tables.sink.spec import SinkSpec, WrittenFile
from spark_infer.tables.storage import Storage
from spark_infer.tables.transaction import Txn
from tests.unit.sim.disk import SimDisk

TABLE = "/w/t"
OLD = {"p=0/old-0": [-4, -2], "p=1/old-1": [-3, -1]}
SCOPE, _ = partition_scope({"p": [0, 1]}, {"p": "int"})
SCHEMA = pa.schema([("id", pa.int64()), ("p", pa.int32())])
AT = datetime(2026, 1, 1, tzinfo=UTC)
MODES = ("error_if_exists", "append", "overwrite", "overwrite_partitions")


class DeadError(BaseException):
    """Raised in a driver that was killed: nothing that it still does counts."""


@dataclass
class Driver:
    """One command.

    Attributes:
        name: For the trace.
        thread: Where it stands.
        dead: Whether it was killed.
        ended: What it came to; None while it runs.
    """

    name: str
    thread: Any = None
    dead: bool = False
    ended: str | None = None


@dataclass
class World:
    """A table, its disk, and whoever works on it.

    Attributes:
        seed: Decides everything.
        kind: ``delta`` or ``parquet``.
        mode: The write mode.
        faults: How many faults are still to come.
    """

    seed: int
    kind: str
    mode: str
    faults: int = 3
    trace: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = random.Random(f"{self.seed}-{self.kind}-{self.mode}")
        self.disk = SimDisk(self.random)
        self.disk.make_folder("/w")
        count = self.random.randint(1, 4)
        self.units = tuple(
            Unit(number, (ScanTask(number, (Piece(f"{number}.parquet", 1, rows=2),)),)) for number in range(count)
        )
        self.scheduler = greenlet.getcurrent()
        self.running: Driver | None = None
        self.new_was_seen = False
        if self.mode != "error_if_exists":
            self._make_old()
        self.before = self.seen()
        self.disk.step = self.step

    @property
    def table(self) -> Storage:
        return Storage(f"file://{TABLE}", TABLE, self.disk)

    @property
    def new_keys(self) -> list[int]:
        return [key for unit in self.units for key in keys_of(unit)]

    @property
    def after(self) -> list[int]:
        return sorted(self.new_keys + (self.before if self.mode == "append" else []))

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
        if fate == "kill":
            driver.dead = True
            raise DeadError
        if fate == "power":
            self.disk.cut_power()
            self.new_was_seen = False  # what was not stored yet may be as it was
            for each in self.drivers:
                each.dead = True
            raise DeadError
        return fate

    def _fate(self) -> str:
        if self.faults == 0 or self.random.random() > 0.08:
            return "ok"
        self.faults -= 1
        return self.random.choice(["kill", "kill", "power", "lost", "refused"])

    # The life of the world.

    def run(self) -> None:
        """Let drivers work until all is done, and check what can be seen after every step."""
        self.drivers: list[Driver] = []
        for round_ in range(40):
            count = self.random.choice([1, 1, 2]) if self.faults else 1
            self.drivers = [self._driver(f"{round_}{letter}") for letter in "ab"[:count]]
            while alive := [each for each in self.drivers if not each.dead and each.ended is None]:
                self._go(self.random.choice(alive))
                self.check()
            for each in self.drivers:
                self._bury(each)
            if not self.faults and all(each.ended in ("done", "nothing") for each in self.drivers):
                break
        else:
            raise AssertionError("it never ends")
        self.drivers = [self._driver("last")]
        while self.drivers[0].ended is None:
            self._go(self.drivers[0])
        assert self.drivers[0].ended == "nothing", self.drivers[0].ended
        self.check_end()

    def _driver(self, name: str) -> Driver:
        driver = Driver(name)

        def work() -> None:
            try:
                driver.ended = command(self)
            except DeadError:
                driver.dead = True
            except (SparkInferError, OSError) as error:
                driver.ended = f"failed: {type(error).__name__}: {error}"
            self.trace.append(f"{driver.name}: {driver.ended or 'killed'}")

        driver.thread = greenlet(work)
        return driver

    def _go(self, driver: Driver) -> None:
        self.running = driver
        driver.thread.parent = self.scheduler
        driver.thread.switch()
        self.running = None

    def _bury(self, driver: Driver) -> None:
        if not driver.thread.dead and driver.thread:
            driver.dead = True
            self._go(driver)

    # What must hold.

    def seen(self) -> list[int]:
        """The keys that a reader sees."""
        files = self.disk.files_below(TABLE)
        if self.kind == "delta":
            there = live({path: commit_in(text) for path, text in files.items() if path.startswith("_delta_log/")})
            missing = [path for path in there if not files.get(path)]
            assert not missing, f"the log names files that are not there or empty: {missing}"
            return sorted(key for path in there for key in json.loads(files[path]))
        data = [path for path in files if not any(part[0] in "._" for part in path.split("/"))]
        assert all(files[path] for path in data), "a reader sees half of a file"
        return sorted(key for path in data for key in json.loads(files[path]))

    def check(self) -> None:
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
        if self.is_finished():
            assert seen == self.after, f"finished, and the rows are not there: {seen}"

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

    def _make_old(self) -> None:
        for path, keys in OLD.items():
            content = json.dumps(keys).encode()
            self.disk.make_folder(f"{TABLE}/{posixpath.dirname(path)}")
            self.disk.create(f"{TABLE}/{path}", content)
        if self.kind == "delta":
            self.disk.make_folder(f"{TABLE}/_delta_log")
            self.disk.create(f"{TABLE}/_delta_log/{0:020}.json", commit_text(list(OLD), [], "", None))


def keys_of(unit: Unit) -> list[int]:
    """Two rows, one of each partition."""
    return [2 * unit.ordinal, 2 * unit.ordinal + 1]


def command(world: World) -> str:
    """What one command does, by the library's own code."""
    table = world.table
    facts = {"what": "decides"}
    runs = Runs.of(table, "job", "0" * 8)
    found = find_run(
        runs, facts, presence(table, world.kind, world.mode), target_exists=bool(table.kind()), new_run=False
    )
    if found.report is not None:
        clean(runs, found.ledger)
        return "nothing"
    run_id = found.plan.run_id if found.plan else f"{world.random.getrandbits(64):016x}"
    start = Start(runs=runs, found=found, run_id=run_id, started_at=AT, facts=facts, units=world.units)
    exists = bool(table.kind()) if found.plan is None else bool(found.plan.write["exists"])
    if found.plan is None and exists and world.mode == "error_if_exists":
        raise WriteError("exists already")
    plan = WritePlan(
        location=TableLocation(world.kind, table.uri),
        mode=world.mode,
        exists=exists,
        partition_by=("p",),
        scope=SCOPE if world.mode == "overwrite_partitions" else None,
        how="",
        partition_types=("int",),
    )
    start = begin(start, plan, None)
    plan = replace(plan, exists=bool(start.found.plan and start.found.plan.write["exists"]))
    ledger = start.found.ledger
    sink = SinkSpec(run_id=start.run_id, schema=SCHEMA, partition_by=("p",))
    session = f"{world.random.getrandbits(32):08x}"
    work = PublishWork(
        plan=plan, table=table, sink=sink, schema="", facts={"run_id": start.run_id}, ledger=ledger, session=session
    )
    outcome = drive(
        ledger,
        start.units,
        publisher_of(work, SimLog(world)),
        folder=work.folder,
        score=scorer(world),
        check=stored,
        session=session,
    )
    files = [file.path for entry in outcome.entries for file in entry.files]
    report = {
        "app": work.app,
        "some_files": files,
        "files_in_table": len(table.data_files()),
        "target_version": outcome.version,
    }
    ledger.finish(stamped(report))
    clean(runs, ledger)
    return "done"


def scorer(world: World) -> Any:
    """Workers that write one file for each partition, in units of any order."""

    def score(
        units: Sequence[Unit], folder: Storage, session: str, wanted: Callable[[Unit], bool]
    ) -> Generator[Scored]:
        for unit in world.random.sample(list(units), len(units)):
            if not wanted(unit):
                continue
            files = []
            for key in keys_of(unit):
                path, content = f"p={key % 2}/unit-{unit.ordinal}-{session}", json.dumps([key]).encode()
                world.disk.write(folder.at(path), content)
                files.append(WrittenFile(path=path, size=len(content), rows=1, values={"p": str(key % 2)}))
            yield Scored(unit=unit, files=files, stats=[])

    return score


def stored(folder: Storage, unit: Unit, files: Sequence[WrittenFile]) -> None:
    """The check before a unit is sealed, without the footers that these files lack."""
    infos = folder.files.get_file_info([folder.at(file.path) for file in files])
    if any(not info.is_file or info.size != file.size for info, file in zip(infos, files, strict=True)):
        raise WriteError("a file is not there as it was written")
    folder.files.keep(folder.root, [file.path for file in files])


@dataclass(frozen=True)
class SimReady:
    """A table as it was looked at."""

    folder: Storage
    commits: dict[str, Any]

    def published(self, app: str) -> int:
        return newest(self.commits, app)


@dataclass(frozen=True)
class SimLog:
    """Delta's log on the disk of a world: a commit is a file that is made once."""

    world: World

    def published(self, folder: Storage, app: str) -> int:
        return newest(self._commits(folder), app)

    def prepare(self, folder: Storage, plan: WritePlan, schema: str, before: Any = None) -> SimReady:
        return SimReady(folder, self._commits(folder))

    def commit(
        self, plan: WritePlan, ready: SimReady, files: Sequence[WrittenFile], schema: str, stamp: str, txn: Txn
    ) -> int | None:
        removes = [] if plan.mode == "append" else live(ready.commits)
        failure: OSError | None = None
        try:
            while True:
                commits = self._commits(ready.folder)
                since = {name: each for name, each in commits.items() if name not in ready.commits}
                if newest(since, txn.app):
                    break  # a concurrent transaction of the same application
                if self._make(ready.folder, len(commits), files, removes, stamp, txn):
                    break
        except OSError as error:
            failure = error
        if self.published(ready.folder, txn.app) >= txn.version:
            return self.version_of(ready.folder, stamp)
        raise WriteError("the commit failed") from failure

    def create_table(
        self, folder: Storage, plan: WritePlan, files: Sequence[WrittenFile], schema: str, stamp: str, txn: Txn
    ) -> int:
        if not self._make(folder, 0, files, [], stamp, txn):
            raise WriteError("there is a table")
        return 0

    def version_of(self, folder: Storage, stamp: str) -> int | None:
        found = [int(name[:20]) for name, each in self._commits(folder).items() if each["stamp"] == stamp]
        return max(found, default=None)

    def _make(
        self, folder: Storage, version: int, files: Sequence[WrittenFile], removes: list[str], stamp: str, txn: Txn
    ) -> bool:
        self.world.disk.make_folder(folder.at("_delta_log"))
        content = commit_text([file.path for file in files], removes, stamp, txn)
        return self.world.disk.create(folder.at(f"_delta_log/{version:020}.json"), content)

    def _commits(self, folder: Storage) -> dict[str, Any]:
        return {name: commit_in(folder.read(f"_delta_log/{name}") or b"") for name in folder.names("_delta_log")}


def commit_text(adds: Sequence[str], removes: Sequence[str], stamp: str, txn: Txn | None) -> bytes:
    """A commit as Delta writes it, as far as anybody here reads it."""
    actions: list[Any] = [{"commitInfo": {"userMetadata": stamp}}]
    actions += [{"txn": {"appId": txn.app, "version": txn.version}}] if txn else []
    actions += [{"remove": {"path": path}} for path in removes] + [{"add": {"path": path}} for path in adds]
    return "\n".join(map(json.dumps, actions)).encode()


def commit_in(text: bytes) -> dict[str, Any]:
    """What a commit says."""
    found: dict[str, Any] = {"txn": None, "adds": [], "removes": [], "stamp": ""}
    for action in map(json.loads, text.decode().splitlines()):
        found["txn"] = action.get("txn", found["txn"])
        found["stamp"] = action.get("commitInfo", {}).get("userMetadata", found["stamp"])
        found["adds"] += [action["add"]["path"]] if "add" in action else []
        found["removes"] += [action["remove"]["path"]] if "remove" in action else []
    return found


def newest(commits: dict[str, Any], app: str) -> int:
    return max(
        (each["txn"]["version"] for each in commits.values() if (each["txn"] or {}).get("appId") == app), default=0
    )


def live(commits: dict[str, Any]) -> list[str]:
    found: list[str] = []
    for name in sorted(commits):
        found = [path for path in found if path not in commits[name]["removes"]] + commits[name]["adds"]
    return found
