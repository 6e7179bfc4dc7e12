"""Runs that a version began which kept the runs of all slices of a job under one name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spark_infer import ScoringJob
from spark_infer.errors import UnfinishedRunError
from spark_infer.runtime.failpoints import InjectedError
from tests.local.jobs import job, read
from tests.local.test_params import FILES, KINDS, MODES, add_day, of_days
from tests.pairwise import pairwise

pytestmark = pytest.mark.usefixtures("in_this_process")


def of_day(model: str, here: Path, kind: str, mode: str, day: int, **more: Any) -> ScoringJob:
    days = {"day": f"2026-11-{day:02}"}
    source: dict[str, Any] = {"path": str(here / "in"), "partition_filter": days}
    target: dict[str, Any] = {"path": str(here / "out"), "format": kind, "mode": mode, "partition_by": ["day"]}
    target |= {"partitions": days} if mode == "overwrite_partitions" else {}
    return job(model, source, target, units={"bytes": 1}, **more)


def as_older_versions_named_it(here: Path) -> None:
    """Take the slice out of the name of the one run in the ledger."""
    (run,) = (here / ".out.spark_infer").iterdir()
    name, key, *rest = run.name.split(".")
    run.rename(run.with_name(".".join([name, key.partition("-")[0], *rest])))


@pytest.fixture
def broken(line: str, tmp_path: Path, breaks: Callable[[str], None]) -> Callable[[str, str], None]:
    """Begins day 2 as an older version did, and breaks; then its source gets one more file."""

    def begin(kind: str, mode: str) -> None:
        for day in (1, 2):
            add_day(tmp_path / "in", kind, day)
        breaks("sealed:2:raise")
        with pytest.raises(InjectedError):
            of_day(line, tmp_path, kind, mode, 2).run()
        breaks("")
        as_older_versions_named_it(tmp_path)
        add_day(tmp_path / "in", kind, 2, files=1, first=FILES)

    return begin


@pytest.mark.parametrize(("mode", "kind"), pairwise(MODES, KINDS))
def test_a_run_goes_on_with_the_source_that_it_began_with(
    broken: Any, line: str, tmp_path: Path, kind: str, mode: str
) -> None:
    broken(kind, mode)
    of_day(line, tmp_path, kind, mode, 1).run()
    report = of_day(line, tmp_path, kind, mode, 2).run()
    assert (report.rows_scored, report.units_before) == (FILES, 2)
    assert [row["id"] for row in read(tmp_path / "out")] == of_days(1, 2)


def test_a_run_that_planned_something_else_is_refused_or_given_up(broken: Any, line: str, tmp_path: Path) -> None:
    broken("delta", "append")
    other = of_day(line, tmp_path, "delta", "append", 2, min_rows=1)
    with pytest.raises(UnfinishedRunError, match="planned something else"):
        other.run()
    mine = other.run(new_run=True).run
    assert mine is not None
    assert "-" in mine.split(".")[1], "the new run is kept as those of older versions"
    assert of_day(line, tmp_path, "delta", "append", 2, min_rows=1).run().already_done
