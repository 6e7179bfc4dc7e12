"""Which stored rows a command goes on with, and when they are removed; without Spark, which only writes them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spark_infer.config import JobConfig
from spark_infer.job.units.run_plan import RunPlan
from spark_infer.job.units.stored_rows import (
    discard_stored,
    next_number,
    seal_rows,
    stored_runs,
    wait_for_others,
    with_stored_rows,
)
from spark_infer.tables.ledger.drivers import Driver, enter, leave
from spark_infer.tables.ledger.ledger import UNITS, Ledger
from spark_infer.tables.ledger.signed import stamped
from spark_infer.tables.local_tables import LocalTables
from spark_infer.tables.sink.sink_spec import WrittenFile


def config(tmp_path: Path, mode: str = "append", where: str | None = None) -> JobConfig:
    source, target = {"query": "select rand() as x", "where": where}, {"path": str(tmp_path / "out"), "mode": mode}
    return JobConfig.model_validate({"model": "models:/m/1", "source": source, "target": target})


def store(job: JobConfig, session: str) -> None:
    """Store a row, as a command of this name does."""
    ledger = stored_runs(LocalTables(), job).stored
    ledger.make_folder(ledger.folder.below(UNITS))
    ledger.make_folder(ledger.staged(session))
    pq.write_table(pa.table({"x": [1.0]}), Path(ledger.staged(session).root) / "a.parquet")
    seal_rows(
        job, ledger, next_number(ledger), session, [WrittenFile(path="a.parquet", size=1, rows=1, values={})], 0.1
    )


def begin(job: JobConfig, session: str) -> Ledger:
    """Begin a run that reads what a session has stored."""
    runs = stored_runs(LocalTables(), job)
    ledger = runs.ledger(len(runs.all()) + 1, "0" * 64)
    plan = RunPlan(
        run_id="0" * 32,
        started_at=datetime(2026, 11, 30, tzinfo=timezone.utc),
        facts={"source version": f"rows stored by {session}: 1 files of 1 bytes (0)"},
        write={},
        units=1,
        tasks="tasks.0.json",
        rows=1,
        way="",
    )
    assert ledger.begin(plan.to_json(), {})
    return ledger


def waiting(job: JobConfig, *, new_run: bool = False) -> str:
    """The session whose rows a command goes on with; "" where it stores them."""
    found, notes = with_stored_rows(LocalTables(), job, new_run=new_run)
    assert bool(notes) == bool(found.source.stored_at)
    assert found.source.name == job.source.name
    return Path(found.source.stored_at).name


def finish(ledger: Ledger) -> None:
    ledger.finish(stamped({"rows_scored": 1}))


def test_rows_that_are_stored_wait_for_a_run_and_go_when_it_is_finished(tmp_path: Path) -> None:
    job = config(tmp_path)
    assert waiting(job) == ""
    store(job, "aaaa")
    assert (waiting(job), waiting(job, new_run=True)) == ("aaaa", "")
    ledger = begin(job, "aaaa")
    assert waiting(job) == "aaaa"
    finish(ledger)
    runs = stored_runs(LocalTables(), job)
    discard_stored(runs, ledger)
    assert (waiting(job), runs.stored.folder.kind()) == ("", "")


@pytest.mark.parametrize(
    ("ends", "mode", "then"),
    [
        (lambda ledger: None, "append", "aaaa"),
        (lambda ledger: ledger.close(b"{}"), "append", "bbbb"),
        (finish, "append", "bbbb"),
    ],
)
def test_an_unfinished_run_goes_on_with_its_own_rows_and_no_other_one(
    tmp_path: Path, ends: Callable[[Any], None], mode: str, then: str
) -> None:
    job = config(tmp_path, mode)
    store(job, "aaaa")
    ends(begin(job, "aaaa"))
    store(job, "bbbb")
    assert waiting(job) == then


@pytest.mark.parametrize(("mode", "then"), [("append", "aaaa"), ("error_if_exists", "aaaa"), ("overwrite", "")])
def test_rows_of_a_finished_run_are_not_scored_by_one_that_replaces_them(tmp_path: Path, mode: str, then: str) -> None:
    job = config(tmp_path, mode)
    store(job, "aaaa")
    finish(begin(job, "aaaa"))  # and was stopped before it removed them
    assert waiting(job) == then


def test_rows_that_were_stored_by_another_condition_are_not_scored(tmp_path: Path) -> None:
    job, other = config(tmp_path), config(tmp_path, where="x > 0.5")
    store(job, "aaaa")
    assert waiting(other) == ""
    store(other, "bbbb")
    assert (waiting(other), waiting(job), waiting(config(tmp_path, where="x > 0.7"))) == ("bbbb", "aaaa", "")


def test_rows_of_a_run_that_was_given_up_are_not_scored(tmp_path: Path) -> None:
    job = config(tmp_path)
    store(job, "aaaa")
    begin(job, "aaaa").close(b"{}")
    assert waiting(job) == ""


def test_a_finished_run_removes_no_rows_of_others_that_are_at_work(tmp_path: Path) -> None:
    job = config(tmp_path)
    for session in ("aaaa", "bbbb", "cccc"):
        store(job, session)
    runs = stored_runs(LocalTables(), job)
    stored, storing = runs.stored, Driver.own("dddd")
    stored.make_folder(stored.staged("dddd"))
    stored.make_folder(stored.staged("left"))
    enter(stored, storing)
    discard_stored(runs, begin(job, "bbbb"))
    assert (stored.done(), stored.folder.names("files")) == ([3], ["cccc", "dddd"])
    leave(stored, storing)
    discard_stored(runs, begin(job, "cccc"))
    assert stored.folder.kind() == ""


def test_rows_that_another_command_has_stored_first_count(tmp_path: Path) -> None:
    job = config(tmp_path)
    store(job, "aaaa")
    ledger = stored_runs(LocalTables(), job).stored
    ledger.make_folder(ledger.staged("bbbb"))
    assert seal_rows(job, ledger, 1, "bbbb", [], 0.1).session == "aaaa"
    assert ledger.folder.names("files") == ["aaaa"]
    other = config(tmp_path, where="x > 0.5")
    ledger.make_folder(ledger.staged("cccc"))
    assert (seal_rows(other, ledger, 1, "cccc", [], 0.1).session, ledger.done()) == ("cccc", [1, 2])


@pytest.mark.parametrize(("stores", "found"), [("", "aaaa"), ("x > 0.5", ""), (None, "")])
def test_a_command_waits_for_another_one_that_stores_the_same_rows(
    tmp_path: Path, stores: str | None, found: str
) -> None:
    job = config(tmp_path)
    ledger, driver, looks = stored_runs(LocalTables(), job).stored, Driver.own("aaaa"), []
    assert wait_for_others(job, ledger, lambda seconds: pytest.fail("nobody is at work")) is None
    enter(ledger, driver)

    def other_command_ends(seconds: float) -> None:
        looks.append(seconds)
        if stores is not None:
            store(config(tmp_path, where=stores or None), "aaaa")
        leave(ledger, driver)

    there = wait_for_others(job, ledger, other_command_ends)
    assert (len(looks), "" if there is None else there.session) == (1, found)
