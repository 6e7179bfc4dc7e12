"""What one command does in a world, by the library's own code; only the workers and their files are made up."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from functools import partial
from random import Random
from typing import Any

import pyarrow as pa

from spark_infer.config.write_modes import MODES
from spark_infer.engines.job_deadline import Deadline
from spark_infer.engines.unit import Unit
from spark_infer.engines.unit_run import Scored
from spark_infer.errors import TargetError, WriteError
from spark_infer.job.units.bookmark_place import move_in
from spark_infer.job.units.concurrent_drivers import Beating, drive_shared, taking_part
from spark_infer.job.units.drive import Outcome, clean, clean_newest, drive
from spark_infer.job.units.find_run import find_run
from spark_infer.job.units.repeats import refuse_moved_bookmark
from spark_infer.job.units.runs import Runs, plan_in, report_in
from spark_infer.job.units.start import Start, begin
from spark_infer.job.units.target_state import target_state_of
from spark_infer.tables.bookmark import Bookmark, BookmarkMove
from spark_infer.tables.delta.format import DeltaFormat
from spark_infer.tables.formats import TableFormat, format_of
from spark_infer.tables.ledger.entry import Sealed
from spark_infer.tables.ledger.signed import stamped
from spark_infer.tables.location import TableLocation
from spark_infer.tables.plan import WritePlan
from spark_infer.tables.predicate import partition_scope
from spark_infer.tables.publishing.with_cache import WithCache
from spark_infer.tables.publishing.with_quarantine import ThenRemoved, WithQuarantine
from spark_infer.tables.publishing.with_summary import WithSummary
from spark_infer.tables.publishing.work import Publisher, PublishWork
from spark_infer.tables.sink.sink_spec import SinkSpec, WrittenFile
from spark_infer.tables.storage import Storage
from tests.unit.sim.disk import SimDisk
from tests.unit.sim.log import SimLog

TIMES = (None, None, None, 0.0)
"""One of four commands has time for one unit alone."""

SCHEMA = pa.schema([("id", pa.int64()), ("p", pa.int32())])
AT = datetime(2026, 1, 1, tzinfo=timezone.utc)
NEW_ROWS = "append of new rows"
"""The write mode of an incremental run: all units in one commit, with the bookmark."""
SUMMARISED = 2_000
"""The row of partition 0 in a summary of all rows of the run; that of partition 1 is the next."""
CACHED = 5_000
"""The new prediction of unit 0; that of unit 1 is the next."""
BOOKMARK = Bookmark(job="job.00000000", source_id="source", source_version=7, selection="all")


def keys_of(unit: Unit, day: int | None = None) -> list[int]:
    """Two rows, one of each partition; or both of the partition of a day."""
    first = 2 * int(unit.tasks[0].pieces[0].path.partition(".")[0])
    return [first, first + 1] if day is None else [2 * first + day, 2 * first + 2 + day]


def bad_keys_of(unit: Unit) -> list[int]:
    """A row that the model fails for, in every other unit."""
    return [1_000 + unit.ordinal] if unit.ordinal % 2 == 0 else []


def command(
    table: Storage,
    aside: Storage | None,
    summary: Storage | None,
    disk: SimDisk,
    kind: str,
    mode: str,
    units: tuple[Unit, ...],
    random: Random,
    *,
    cache: Storage | None = None,
    day: int | None = None,
    leaving: Sequence[str] = (),
    known: Callable[[], Sequence[int]] | None = None,
    beating: Beating,
    sleep: Callable[[float], None],
    silent_looks: int,
) -> str:
    """Do what is left of the run, of all rows or of a day's; returns what it came to.

    Args:
        table: The target.
        aside: The table of quarantined rows; None where the model fails for none.
        summary: The table of the run's summary; None where it has none.
        disk: Where they lie.
        kind: Its format.
        mode: The write mode.
        units: What is to be scored.
        random: Decides what workers do first.
        cache: The prediction cache; None where the run has none.
        day: The partition that is scored and replaced; None for all.
        leaving: Files that leave the table of quarantined rows, whose rows are scored again.
        known: The keys that the target has, of a run whose rows are new where it lacks them; None for other runs.
        beating: Calls what shows that this driver is at work.
        sleep: Lets others work.
        silent_looks: How patient it is with others.
    """
    once = partial(
        _command,
        table,
        aside,
        summary,
        disk,
        kind,
        mode,
        units,
        random,
        cache=cache,
        day=day,
        leaving=leaving,
        known=known,
        beating=beating,
        sleep=sleep,
        silent_looks=silent_looks,
    )
    try:
        return once()
    except TargetError:  # as `choose_run_and_writers` looks once more, and `prepare_job` plans
        return once()


def _command(
    table: Storage,
    aside: Storage | None,
    summary: Storage | None,
    disk: SimDisk,
    kind: str,
    mode: str,
    units: tuple[Unit, ...],
    random: Random,
    *,
    cache: Storage | None,
    day: int | None,
    leaving: Sequence[str],
    known: Callable[[], Sequence[int]] | None,
    beating: Beating,
    sleep: Callable[[float], None],
    silent_looks: int,
) -> str:
    days = [0, 1] if day is None else [day]
    facts = {
        "source version": "version 1 of table s",
        "where": None,
        "partition_filter": {} if day is None else {"p": days},
        "target settings": {"mode": mode, "partitions": {"p": days}},
    }
    runs = Runs.of(table, "job", "0" * 8, "" if day is None else f"{day:08}")
    if known is not None:
        move, goes_on = move_of(runs, table, kind)
        disk.step("keys")
        there = known()
        if not goes_on:  # else the rows are those of its tasks
            new = [unit for unit in units if not {*keys_of(unit)} & {*there}]
            units = tuple(replace(unit, ordinal=ordinal) for ordinal, unit in enumerate(new))
        if move.found == move.to or not units:
            clean_newest(runs)
            return "nothing"
        facts["new rows"] = {name: each and each.to_facts() for name, each in vars(move).items()}
    found = find_run(
        runs,
        facts,
        target_state_of(table, format_of(kind), MODES["append" if mode == NEW_ROWS else mode]),
        target_exists=bool(table.kind()),
        new_run=False,
    )
    if found.report is not None:
        clean(runs, found.ledger)
        return "nothing"
    if found.plan is None and known is not None:
        refuse_moved_bookmark(facts, move_of(runs, table, kind)[0].found, table.root)
    run_id = found.plan.run_id if found.plan else f"{random.getrandbits(64):016x}"
    start = Start(
        runs=runs, found=found, run_id=run_id, started_at=AT, facts=facts, units=units, touched=lambda *_: True
    )
    if known is not None:
        start = start.with_units(units)
    scope, _ = partition_scope({"p": days}, {"p": "int"})
    exists = bool(table.kind()) if found.plan is None else bool(found.plan.write["exists"])
    if found.plan is None and exists and mode == "error_if_exists":
        raise TargetError("exists already")
    new_rows = mode == NEW_ROWS or known is not None
    plan = WritePlan(
        location=TableLocation(kind, table.uri),
        mode=MODES["append" if new_rows else mode],
        exists=exists,
        partition_by=("p",),
        scope=scope if mode == "overwrite_partitions" else None,
        how="",
        partition_types=("int",),
        at_once=mode == NEW_ROWS or bool(leaving),
    )
    start = begin(start, plan, None)
    if start.finished is not None:
        clean(runs, start.found.ledger)
        return "nothing"
    plan = replace(plan, exists=bool(start.found.plan and start.found.plan.write["exists"]))
    ledger = start.found.ledger
    sink = SinkSpec(run_id=start.run_id, schema=SCHEMA, partition_by=("p",))
    session = f"{random.getrandbits(32):08x}"
    work = PublishWork(
        plan=plan,
        table=table,
        sink=sink,
        schema=SCHEMA,
        facts={"run_id": start.run_id, **(BOOKMARK.to_facts() if new_rows else {})},
        ledger=ledger,
        session=session,
        bookmark=BookmarkMove(found=None, since=None, to=BOOKMARK) if new_rows else None,
    )
    publishing = DeltaFormat(SimLog(disk)) if kind == "delta" else format_of(kind)
    with taking_part(ledger, session, sleep, beating) as turns:
        turns = replace(turns, silent_looks=silent_looks)
        begins = Deadline(None, Random(session).choice(TIMES)).begins

        def do_the_rest() -> Outcome | Mapping[str, Any]:
            target = publisher_of(work, publishing, aside, leaving)
            return drive(
                ledger,
                start.units,
                with_summary(work, publishing, with_cache(work, publishing, target, cache), summary, days),
                folder=work.folder,
                score=scorer(
                    disk,
                    random,
                    day,
                    quarantines=aside is not None,
                    summarises=summary is not None,
                    caches=cache is not None,
                ),
                check=stored,
                session=session,
                turn=turns.wait,
                begins=begins,
            )

        outcome = drive_shared(turns, do_the_rest)
        if not isinstance(outcome, Outcome) or outcome.report is not None:
            clean(runs, ledger)
            return "nothing"
        files = [file.path for entry in outcome.entries for file in entry.files]
        report = {
            "app": work.app,
            "some_files": files,
            "in_table": format_of(kind).written.contents(table),
            "target_version": max(outcome.versions, default=None),
            **(BOOKMARK.to_facts() if new_rows else {}),
        }
        ledger.finish(stamped(report))
        clean(runs, ledger)
    return "done"


def move_of(runs: Runs, table: Storage, kind: str) -> tuple[BookmarkMove, bool]:
    """How a command moves the bookmark, from where it is now or as an unfinished run does; whether that goes on."""
    ledgers = [ledger for *_, ledger in runs.all()]
    reports = [report for ledger in ledgers if (report := report_in(ledger)) is not None]
    plan = plan_in(ledgers[-1]) if ledgers and ledgers[-1].report() is None else None
    begun = None if plan is None else move_in(plan.facts)
    there = format_of(kind).written.bookmark(table, BOOKMARK.job, reports[-1] if reports else None)
    return begun or BookmarkMove(found=there, since=None, to=BOOKMARK), begun is not None


def publisher_of(
    work: PublishWork, publishing: TableFormat, aside: Storage | None, leaving: Sequence[str]
) -> Publisher:
    """The publisher of the target, and of the table of quarantined rows where there is one."""
    if aside is None:
        return publishing.publisher(work)
    location = TableLocation(work.plan.location.format, aside.uri)
    plan = replace(work.plan, location=location, mode=MODES["append"], exists=True, scope=None, at_once=False)
    beside = replace(work, plan=plan, table=aside, bookmark=None)
    publishing.make_empty(beside)
    both = WithQuarantine(publishing.publisher(work), publishing.publisher(beside))
    return ThenRemoved(both, lambda: publishing.remove_files(beside, leaving)) if leaving else both


def with_summary(
    work: PublishWork, publishing: TableFormat, target: Publisher, summary: Storage | None, days: Sequence[int]
) -> Publisher:
    """The publisher of the run, and of its summary where there is one: a row for each partition."""
    if summary is None:
        return target
    plan = replace(work.plan, location=TableLocation(work.plan.location.format, summary.uri), at_once=False)
    adds = not plan.mode.replaces_files
    plan = replace(plan, exists=adds or bool(summary.kind()), mode=MODES["append"] if adds else plan.mode)
    own = replace(work, plan=plan, table=summary, ledger=work.ledger.of_summary(), bookmark=None)

    def make(entries: Sequence[Sealed], into: Storage) -> list[WrittenFile]:
        read = [work.folder(sealed.session).read(file.path) for sealed in entries for file in sealed.parts]
        rows = sum(json.loads(content or b"0") for content in read)
        wanted = sum(file.rows for sealed in entries for file in sealed.files)
        files = []
        for part in days:
            path, content = f"p={part}/unit-{work.session}", json.dumps([SUMMARISED + part if rows == wanted else -99])
            summary.files.write(into.at(path), content.encode())
            files.append(WrittenFile(path=path, size=len(content), rows=1, values={"p": str(part)}))
        summary.files.keep(into.root, [file.path for file in files])
        return files

    if adds:
        publishing.make_empty(own)
    return WithSummary(target, publishing.publisher(own), own, make)


def with_cache(work: PublishWork, publishing: TableFormat, target: Publisher, cache: Storage | None) -> Publisher:
    """The publisher of the run, and of its new predictions where there is a cache for them."""
    if cache is None:
        return target
    location = TableLocation(work.plan.location.format, cache.uri)
    plan = replace(work.plan, location=location, mode=MODES["append"], exists=True, scope=None, at_once=False)
    own = replace(work, plan=plan, table=cache, bookmark=None)
    publishing.make_empty(own)
    return WithCache(target, publishing.publisher(own))


def scorer(disk: SimDisk, random: Random, day: int | None, *, quarantines: bool, summarises: bool, caches: bool) -> Any:
    """Workers that write one file for each partition, in units of any order."""

    def score(
        units: Sequence[Unit], folder: Storage, session: str, wanted: Callable[[Unit], bool]
    ) -> Generator[Scored]:
        for unit in random.sample(list(units), len(units)):
            if not wanted(unit):
                continue
            files = []
            for key in [*keys_of(unit, day), *(bad_keys_of(unit) if quarantines else ())]:
                bad = key >= 1_000
                path = f"p={key % 2}/unit-{unit.ordinal}-{key}-{session}{'-bad' * bad}"
                content = json.dumps([key]).encode()
                disk.write(folder.at(path), content)
                files.append(WrittenFile(path=path, size=len(content), rows=1, values={"p": str(key % 2)}, aside=bad))
            if caches:
                path, content = f"p=0/unit-{unit.ordinal}-new-{session}", json.dumps([CACHED + unit.ordinal]).encode()
                disk.write(folder.at(path), content)
                files.append(WrittenFile(path=path, size=len(content), rows=1, values={"p": "0"}, cached=True))
            if summarises:
                path, content = f"part-{unit.ordinal}-{session}", json.dumps(len(keys_of(unit, day))).encode()
                disk.write(folder.at(path), content)
                files.append(WrittenFile(path=path, size=len(content), rows=1, part=True))
            yield Scored(unit=unit, files=files, stats=[])

    return score


def stored(folder: Storage, scored: Scored) -> None:
    """The check before a unit is sealed, without the footers that these files lack."""
    files = scored.files
    infos = folder.files.get_file_info([folder.at(file.path) for file in files])
    if any(not info.is_file or info.size != file.size for info, file in zip(infos, files, strict=True)):
        raise WriteError("a file is not there as it was written")
    folder.files.keep(folder.root, [file.path for file in files])
