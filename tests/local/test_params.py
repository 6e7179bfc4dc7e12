"""A job with parameters, by the path that a user takes: nights side by side, killed ones, a source that goes on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake
from typer.testing import CliRunner, Result

from spark_infer import score_table
from spark_infer.cli.main import app
from spark_infer.errors import RunError, SourceError, UnfinishedRunError
from spark_infer.job.scoring import ScoringJob
from spark_infer.runtime.failpoints import InjectedError
from tests.local.jobs import read
from tests.pairwise import pairwise

pytestmark = pytest.mark.usefixtures("in_this_process")

FILES = 3
KINDS = ("delta", "parquet")
MODES = ("append", "overwrite_partitions")


def add_day(source: Path, kind: str, day: int, files: int = FILES, first: int = 0) -> None:
    """Files of one row each: ids 100 day and on, ``x`` the same."""
    for number in range(first, first + files):
        rows = pa.table({"id": [100 * day + number], "x": [100.0 * day + number], "day": [f"2026-11-{day:02}"]})
        if kind == "delta":
            write_deltalake(source, rows, mode="append", partition_by=["day"])
        else:
            folder = source / f"day=2026-11-{day:02}"
            folder.mkdir(parents=True, exist_ok=True)
            pq.write_table(rows.drop_columns("day"), folder / f"{number}.parquet")


class Nightly:
    """A job file with a day, its tables and its commands."""

    def __init__(self, here: Path, model: str, kind: str, mode: str) -> None:
        self.source, self.target, self.file = here / "in", here / "out", here / "job.yaml"
        partitions = '\n  partitions: {day: "${params.day}"}' if mode == "overwrite_partitions" else ""
        self.file.write_text(
            "name: nightly\nengine: local\nparams:\n  day: {type: date}\nunits: {bytes: 1}\n"
            f'model: {model}\nsource:\n  path: {self.source}\n  partition_filter: {{day: "${{params.day}}"}}\n'
            f"target:\n  path: {self.target}\n  format: {kind}\n  mode: {mode}\n  partition_by: day{partitions}\n"
        )

    def job(self, day: int, *overrides: str) -> ScoringJob:
        return ScoringJob.from_yaml(self.file, overrides, params={"day": f"2026-11-{day:02}"})

    def command(self, *arguments: str) -> Result:
        name, *others = arguments
        return CliRunner().invoke(app, [name, str(self.file), *others], prog_name="spark-infer")

    def states(self, *arguments: str) -> list[tuple[str, str]]:
        runs = json.loads(self.command("status", "--json", *arguments).stdout)["runs"]
        return [(run["job_params"]["day"], run["state"]) for run in runs]

    def ids(self) -> list[int]:
        rows = read(self.target)
        assert [row["prediction"] for row in rows] == pytest.approx([2.0 * row["id"] for row in rows])
        return [row["id"] for row in rows]


@pytest.fixture
def nightly(tmp_path: Path, line: str) -> Callable[[str, str], Nightly]:
    def make(kind: str, mode: str) -> Nightly:
        made = Nightly(tmp_path, line, kind, mode)
        for day in (1, 2, 3):
            add_day(made.source, kind, day)
        return made

    return make


def of_days(*days: int, files: int = FILES) -> list[int]:
    return [100 * day + number for day in days for number in range(files)]


@pytest.mark.parametrize(("mode", "kind"), pairwise(MODES, KINDS))
def test_a_killed_night_blocks_no_other_and_goes_on_with_its_source(
    nightly: Any, breaks: Callable[[str], None], kind: str, mode: str
) -> None:
    job = nightly(kind, mode)
    assert job.command("run", "--param", "day=2026-11-01").exit_code == 0
    breaks("sealed:2:raise")
    with pytest.raises(InjectedError):
        job.job(2).run()
    breaks("")
    add_day(job.source, kind, 2, files=1, first=FILES)
    assert job.job(3).run().rows_scored == FILES
    assert job.states() == [("2026-11-01", "finished"), ("2026-11-02", "unfinished"), ("2026-11-03", "finished")]
    assert job.states("--param", "day=2026-11-02") == [("2026-11-02", "unfinished")]
    plan = job.job(2).plan()
    assert "it goes on" in plan.units[-1]
    assert "goes on with the source as it was when it began" in plan.warnings[0]
    report = job.job(2).run()
    assert (report.rows_scored, report.job_params) == (FILES, {"day": "2026-11-02"})
    assert report.units_before >= 1
    assert job.ids() == of_days(1, 2, 3)
    for day in (1, 3):
        assert job.job(day).run().already_done
    assert {state for _, state in job.states()} == {"finished"}


@pytest.mark.parametrize("mode", ["append", "overwrite_partitions"])
def test_a_run_of_which_all_is_scored_needs_no_file_of_its_source(
    nightly: Any, breaks: Callable[[str], None], mode: str
) -> None:
    job = nightly("parquet", mode)
    breaks("finish:1:raise")
    with pytest.raises(InjectedError):
        job.job(2).run()
    breaks("")
    shutil.rmtree(job.source / "day=2026-11-02")
    report = job.job(2).run()
    assert (report.rows_scored, report.rows_read, report.units_before) == (FILES, FILES, report.units)
    (warning,) = report.warnings
    assert "without what came since" in warning
    assert job.ids() == of_days(2)


def test_a_version_that_is_gone_is_named(nightly: Any, breaks: Callable[[str], None]) -> None:
    job = nightly("parquet", "append")
    breaks("sealed:2:raise")
    with pytest.raises(InjectedError):
        job.job(2).run()
    breaks("")
    (job.source / "day=2026-11-02" / "2.parquet").unlink()
    with pytest.raises(UnfinishedRunError, match="source is no longer as it was") as refused:
        job.job(2).run()
    assert "2 files" in str(refused.value)
    assert job.job(2).run(new_run=True).rows_scored == 2


@pytest.mark.parametrize(("mode", "kind"), pairwise(MODES, KINDS))
def test_a_new_table_is_made_by_one_night_and_joined_by_the_other(
    nightly: Any, breaks: Callable[[str], None], kind: str, mode: str
) -> None:
    job = nightly(kind, mode)
    breaks("finish:1:raise")
    with pytest.raises(InjectedError):
        job.job(1).run()
    breaks("")
    job.job(2).run()
    assert job.job(1).run().rows_scored == FILES
    assert job.ids() == of_days(1, 2)


@pytest.mark.parametrize("kind", KINDS)
def test_nights_whose_rows_overlap_are_refused_with_the_cause(
    nightly: Any, breaks: Callable[[str], None], kind: str
) -> None:
    job = nightly(kind, "overwrite_partitions")
    job.job(1).run()
    breaks("sealed:2:raise")
    with pytest.raises(InjectedError):
        job.job(2).run()
    breaks("")
    wider = job.job(3, "target.partitions.day=[2026-11-02, 2026-11-03]")
    with pytest.raises(UnfinishedRunError) as refused:
        wider.run()
    text = str(refused.value)
    assert "is unfinished, and its rows overlap with those of this one: both replace the same table partitions" in text
    assert "(day=2026-11-02)" in text
    assert "run its command again" in text
    whole = job.job(3, "target.mode=overwrite", "target.partitions=")
    with pytest.raises(UnfinishedRunError, match="an overwrite replaces the rows of both"):
        whole.run()
    assert whole.run(new_run=True).rows_scored == FILES
    assert job.ids() == of_days(3)
    assert ("2026-11-02", "given up") in job.states()


def test_a_run_that_is_at_work_is_not_taken_for_a_killed_one(nightly: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    job = nightly("delta", "overwrite_partitions")
    job.job(1).run()
    seen: list[str] = []

    def meanwhile(*_: Any) -> None:
        if not seen:
            with pytest.raises(UnfinishedRunError) as refused:
                job.job(3, "target.mode=overwrite", "target.partitions=").run()
            seen.append(str(refused.value))

    monkeypatch.setattr("spark_infer.job.units.run_units.check_files", lambda *given, **more: meanwhile())
    job.job(2).run()
    assert "is at work, and its rows overlap" in seen[0]
    assert "let it finish" in seen[0]
    assert job.ids() == of_days(1, 2)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("parallel", ["1", "3"])
def test_a_backfill_runs_each_day_once(nightly: Any, breaks: Callable[[str], None], kind: str, parallel: str) -> None:
    job = nightly(kind, "append")
    job.job(2).run()
    asked = ["run", "--backfill", "day=2026-11-01..2026-11-03", "--parallel", parallel]
    breaks("sealed:2:raise") if parallel == "1" else None
    done = job.command(*asked)
    if parallel == "1":
        assert done.exit_code == 4
        assert "day=2026-11-01  failed" in done.stdout
        breaks("")
        done = job.command(*asked)
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0].startswith("nightly: 3 runs, ")
    assert [line.split()[0] for line in lines[2:5]] == ["day=2026-11-01", "day=2026-11-02", "day=2026-11-03"]
    assert "done before  3 rows" in lines[3]
    assert job.ids() == of_days(1, 2, 3)


def test_a_day_that_fails_does_not_stop_the_others_unless_asked_to(nightly: Any) -> None:
    job = nightly("parquet", "append")
    asked = ["run", "--set", "fail_on_empty=true", "--backfill", "day=2026-11-01,2026-11-09,2026-11-02", "--json"]
    for more, states in (
        (["--stop-on-error"], ["done", "refused", "not begun"]),
        ([], ["done before", "refused", "done"]),
    ):
        done = job.command(*asked, *more)
        facts = json.loads(done.stdout)
        assert (done.exit_code, facts["exit_code"], [run["state"] for run in facts["runs"]]) == (2, 2, states)
    assert job.ids() == of_days(1, 2)


def test_a_day_without_rows_is_a_warning_or_an_error(nightly: Any) -> None:
    for kind, mode in (("delta", "overwrite_partitions"),):
        job = nightly(kind, mode)
        job.job(1).run()
        assert "no row of the source is scored; day in ['2026-11-09']" in job.job(9).plan().warnings
        report = job.job(9).run()
        assert report.rows_scored == 0
        assert any("no row of the source is scored" in warning for warning in report.warnings)
        done = job.command("run", "--backfill", "day=2026-11-01,2026-11-09")
        assert "  ! day=2026-11-09: no row of the source is scored" in done.stdout
        assert DeltaTable(job.target).version() == 0
        with pytest.raises(SourceError, match="The source has 0 rows to score, and the job asks for 1 at least"):
            job.job(10, "fail_on_empty=true").run()
        with pytest.raises(SourceError, match="3 rows to score, and the job asks for 4"):
            job.job(2, "min_rows=4").run()
        job.job(2, "min_rows=3").run()
        assert job.ids() == of_days(1, 2)


@pytest.mark.parametrize("kind", KINDS)
def test_too_few_rows_of_a_condition_are_found_before_any_is_published(nightly: Any, kind: str) -> None:
    job = nightly(kind, "append")
    job.job(1).run()
    with pytest.raises(RunError, match="There were 2 rows to score, and the job asks for 3 at least"):
        job.job(2, "source.where=id > 200", "min_rows=3").run()
    assert job.ids() == of_days(1)
    add_day(job.source, kind, 2, files=1, first=FILES)
    assert job.job(2, "source.where=id > 200", "min_rows=3").run().rows_scored == 3


def test_python_has_parameters_too(nightly: Any, line: str) -> None:
    job = nightly("delta", "append")
    given: dict[str, Any] = {
        "source": {"path": str(job.source), "where": "day = ${params.day}"},
        "target": {"path": str(job.target), "mode": "append"},
        "model": line,
        "engine": "local",
    }
    for day in ("2026-11-01", "2026-11-03"):
        assert score_table(**given, job_params={"day": day}).job_params == {"day": day}
    assert job.ids() == of_days(1, 3)
    commits = [commit for commit in DeltaTable(job.target).history() if "userMetadata" in commit]
    assert json.loads(commits[0]["userMetadata"])["params"] == "day=2026-11-03"
