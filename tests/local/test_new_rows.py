"""An incremental job scores the rows that are new since the version that its target holds, and each of them once."""

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
from typer.testing import CliRunner

from spark_infer import Report, ScoringJob
from spark_infer.cli.main import app
from spark_infer.engines.local.engine import LocalEngine
from spark_infer.errors import SourceError, TargetError, UnfinishedRunError, WriteError
from spark_infer.job.prepare import prepare_job
from spark_infer.job.run import run_job
from spark_infer.job.units import drive
from spark_infer.runtime.failpoints import InjectedError
from tests.histories import History
from tests.line import save_line
from tests.local.jobs import job, read

pytestmark = pytest.mark.usefixtures("in_this_process")

Break = Callable[[str], None]
POINTS = ("seal:2", "sealed:2", "publish:2", "placed:1", "commit:1", "committed:1", "report:1")


@pytest.fixture(scope="module")
def tripling(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The next version of the model: it triples ``x``."""
    return save_line(tmp_path_factory.mktemp("tripling") / "model", 3.0)


def append(folder: Path, first: int, count: int = 3, part: int = 0) -> None:
    ids = pa.array(range(first, first + count), pa.int64())
    rows = pa.table({"id": ids, "x": ids.cast(pa.float64()), "part": pa.array([part] * count, pa.int32())})
    write_deltalake(folder, rows, mode="append", partition_by=["part"])


def new_rows(model: str, here: Path, kind: str = "delta", **more: Any) -> ScoringJob:
    target = {"path": str(here / "out"), "format": kind, "mode": "append", **more.pop("target", {})}
    return job(model, {"path": str(here / "in")}, target, **{"incremental": True, **more})


def predictions(here: Path) -> dict[int, float]:
    rows = read(here / "out")
    found = {row["id"]: row["prediction"] for row in rows}
    assert len(found) == len(rows), "a row is there twice"
    return found


def doubled(count: int) -> dict[int, float]:
    return {number: 2.0 * number for number in range(count)}


def counts(report: Report) -> tuple[int | None, int, bool]:
    return report.source_since, report.rows_scored, report.nothing_new


@pytest.mark.parametrize("kind", ["delta", "parquet"])
def test_the_first_run_scores_all_rows_and_the_next_ones_those_that_are_new(
    line: str, tmp_path: Path, kind: str
) -> None:
    append(tmp_path / "in", 0)
    scoring = new_rows(line, tmp_path, kind)
    assert counts(scoring.run()) == (None, 3, False)
    assert counts(scoring.run()) == (0, 0, True)
    append(tmp_path / "in", 3, part=1)
    append(tmp_path / "in", 6)
    plan = str(scoring.plan())
    assert "only rows that are new after version 0" in plan
    assert "6 rows" in plan
    assert counts(scoring.run()) == (0, 6, False)
    assert predictions(tmp_path) == doubled(9)
    report = scoring.run()
    assert counts(report) == (2, 0, True)
    assert "nothing to do, the source has no row that is new" in str(report)


def test_a_run_with_nothing_new_changes_no_file(line: str, tmp_path: Path) -> None:
    append(tmp_path / "in", 0)
    new_rows(line, tmp_path).run()
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert new_rows(line, tmp_path).run().nothing_new
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_a_quiet_source_may_lose_the_log_that_was_seen_to_bring_nothing(line: str, tmp_path: Path) -> None:
    source = tmp_path / "in"
    append(source, 0)
    append(source, 3)
    scoring = new_rows(line, tmp_path)
    scoring.run()
    DeltaTable(source).optimize.compact()
    assert scoring.run().nothing_new
    append(source, 6)
    DeltaTable(source).create_checkpoint()
    for version in range(3):
        (source / "_delta_log" / f"{version:020}.json").unlink()
    assert counts(scoring.run()) == (1, 3, False)
    assert predictions(tmp_path) == doubled(9)


def test_all_rows_of_a_run_and_its_bookmark_are_one_commit(line: str, tmp_path: Path) -> None:
    append(tmp_path / "in", 0)
    scoring = new_rows(line, tmp_path, units={"bytes": 1})
    scoring.run()
    for part in range(3):
        append(tmp_path / "in", 3 * part + 3, part=part)
    report = scoring.run()
    assert (report.units, len(report.target_versions)) == (3, 1)
    newest = DeltaTable(tmp_path / "out").history(1)[0]
    facts = json.loads(newest["userMetadata"])
    assert (facts["bookmark_source_version"], facts["source_version"]) == (3, 3)


@pytest.mark.parametrize("kind", ["delta", "parquet"])
@pytest.mark.parametrize("point", POINTS)
def test_a_run_that_breaks_is_finished_before_newer_rows_are_scored(
    line: str, tmp_path: Path, breaks: Break, kind: str, point: str
) -> None:
    append(tmp_path / "in", 0)
    scoring = new_rows(line, tmp_path, kind, units={"bytes": 1})
    scoring.run()
    append(tmp_path / "in", 3, part=1)
    append(tmp_path / "in", 6, part=2)
    breaks(f"{point}:raise")
    broke = False
    try:
        scoring.run()
    except (InjectedError, WriteError):
        broke = True
    of_delta, of_parquet = ("commit:1", "committed:1"), ("publish:2",)
    assert broke == (point not in (of_parquet if kind == "delta" else of_delta))
    breaks("")
    append(tmp_path / "in", 9)
    if broke:
        assert counts(scoring.run()) == (0, 6, False)
        assert predictions(tmp_path) == doubled(9)
    assert counts(scoring.run()) == (2, 3, False)
    assert predictions(tmp_path) == doubled(12)


def test_a_run_whose_rows_another_one_has_added_meanwhile_adds_none(line: str, tmp_path: Path) -> None:
    append(tmp_path / "in", 0)
    scoring = new_rows(line, tmp_path)
    scoring.run()
    append(tmp_path / "in", 3)
    slow = prepare_job(LocalEngine(scoring.config.resources), scoring.config)
    scoring.run()
    shutil.rmtree(tmp_path / ".out.spark_infer")  # else both would know of each other, and share the run
    with pytest.raises(WriteError, match="Another command has added new rows"):
        run_job(slow)
    assert predictions(tmp_path) == doubled(6)
    append(tmp_path / "in", 6)
    assert scoring.run().rows_scored == 3
    assert predictions(tmp_path) == doubled(9)


def test_compactions_and_vacuums_cost_nothing_and_lose_nothing(line: str, tmp_path: Path) -> None:
    source = tmp_path / "in"
    append(source, 0)
    append(source, 3)
    scoring = new_rows(line, tmp_path)
    scoring.run()
    DeltaTable(source).optimize.compact()
    DeltaTable(source).vacuum(0, dry_run=False, enforce_retention_duration=False)
    assert scoring.run().nothing_new
    append(source, 6)
    DeltaTable(source).optimize.compact()  # new rows and old ones are in one file now
    assert counts(scoring.run()) == (1, 3, False)
    append(source, 9, part=1)
    append(source, 12, part=1)
    DeltaTable(source).optimize.compact()
    DeltaTable(source).vacuum(0, dry_run=False, enforce_retention_duration=False)
    assert scoring.run().rows_scored == 6  # a partition of new rows alone
    assert predictions(tmp_path) == doubled(15)


def test_new_rows_that_only_a_vacuumed_file_had_apart_are_refused(line: str, tmp_path: Path) -> None:
    source = tmp_path / "in"
    append(source, 0)
    scoring = new_rows(line, tmp_path)
    scoring.run()
    append(source, 3)
    DeltaTable(source).optimize.compact()
    DeltaTable(source).vacuum(0, dry_run=False, enforce_retention_duration=False)
    with pytest.raises(SourceError, match="VACUUM removed") as refused:
        scoring.run()
    assert "--set target.mode=overwrite" in str(refused.value)
    assert new_rows(line, tmp_path, target={"mode": "overwrite"}).run().rows_scored == 6
    append(source, 6)
    assert scoring.run().rows_scored == 3
    assert predictions(tmp_path) == doubled(9)


def test_rows_that_were_changed_are_refused_with_the_commit_and_the_repair(line: str, tmp_path: Path) -> None:
    source = tmp_path / "in"
    append(source, 0)
    scoring = new_rows(line, tmp_path)
    scoring.run()
    append(source, 3)
    DeltaTable(source).delete("id = 1")
    with pytest.raises(SourceError, match="version 2: DELETE"):
        scoring.run()
    assert predictions(tmp_path) == doubled(3)


def test_rows_that_came_and_went_are_not_new(line: str, tmp_path: Path) -> None:
    source = tmp_path / "in"
    append(source, 0)
    scoring = new_rows(line, tmp_path)
    scoring.run()
    append(source, 3)
    append(source, 6)
    DeltaTable(source).delete("id >= 5")
    assert counts(scoring.run()) == (0, 2, False)
    append(source, 5)
    DeltaTable(source).restore(3)
    assert scoring.run().nothing_new
    assert predictions(tmp_path) == doubled(5)


@pytest.mark.parametrize(("policy", "rows"), [("new_rows", 3), ("all", 6)])
def test_a_new_model_scores_what_its_policy_says(
    line: str, tripling: str, tmp_path: Path, policy: str, rows: int
) -> None:
    append(tmp_path / "in", 0)
    new_rows(line, tmp_path).run()
    append(tmp_path / "in", 3)
    after = new_rows(tripling, tmp_path, incremental={"on_new_model": policy})
    report = after.run()
    assert report.rows_scored == rows
    assert any("the scoring changed" in warning for warning in report.warnings)
    assert after.run().nothing_new
    slopes = sorted((row["id"], round(row["prediction"] / row["id"])) for row in read(tmp_path / "out") if row["id"])
    scored = range(3, 6) if policy == "new_rows" else range(1, 6)
    assert slopes == sorted([(number, 2) for number in (1, 2)] + [(number, 3) for number in scored])


def test_a_job_that_scored_all_rows_before_is_shown_how_to_go_on_with_new_ones(line: str, tmp_path: Path) -> None:
    append(tmp_path / "in", 0)
    new_rows(line, tmp_path, incremental=False).run()
    append(tmp_path / "in", 3)
    with pytest.raises(TargetError, match="would append them again") as refused:
        new_rows(line, tmp_path).run()
    assert "--set target.mode=overwrite" in refused.value.next_step
    new_rows(line, tmp_path, target={"mode": "overwrite"}).run()
    append(tmp_path / "in", 6)
    assert new_rows(line, tmp_path).run().rows_scored == 3
    assert predictions(tmp_path) == doubled(9)


@pytest.mark.parametrize("version", [0, 1])
def test_a_target_that_was_restored_has_the_bookmark_of_that_version(line: str, tmp_path: Path, version: int) -> None:
    scoring = new_rows(line, tmp_path)
    for number in range(3):
        append(tmp_path / "in", 3 * number)
        scoring.run()
    DeltaTable(tmp_path / "out").restore(version)
    assert predictions(tmp_path) == doubled(3 * version + 3)
    assert counts(scoring.run()) == (version, 6 - 3 * version, False)
    assert predictions(tmp_path) == doubled(9)


def test_a_source_that_was_made_again_is_refused(line: str, tmp_path: Path) -> None:
    append(tmp_path / "in", 0)
    scoring = new_rows(line, tmp_path)
    scoring.run()
    (tmp_path / "in").rename(tmp_path / "old")
    append(tmp_path / "in", 0)
    append(tmp_path / "in", 3)
    with pytest.raises(SourceError, match="it is another table now"):
        scoring.run()


def test_a_log_that_lost_its_commits_is_refused(line: str, tmp_path: Path) -> None:
    append(tmp_path / "in", 0)
    scoring = new_rows(line, tmp_path)
    scoring.run()
    for number in range(1, 4):
        append(tmp_path / "in", 3 * number)
    DeltaTable(tmp_path / "in").create_checkpoint()
    (tmp_path / "in" / "_delta_log" / f"{1:020}.json").unlink()
    with pytest.raises(SourceError, match="the commit of version 1 no more"):
        scoring.run()


def test_another_selection_is_refused(line: str, tmp_path: Path) -> None:
    append(tmp_path / "in", 0)
    new_rows(line, tmp_path).run()
    source = {"path": str(tmp_path / "in"), "where": "id > 1"}
    target = {"path": str(tmp_path / "out"), "mode": "append"}
    with pytest.raises(TargetError, match="`where` or `partition_filter` changed"):
        job(line, source, target, incremental=True).run()


def with_param(model: str, here: Path, kind: str, value: int, where: str) -> ScoringJob:
    document = {
        "name": "by_param",
        "params": {"n": {"type": "int"}},
        "model": {"uri": model},
        "engine": "local",
        "source": {"path": str(here / "in"), "where": where},
        "target": {"path": str(here / "out"), "mode": "append", "format": kind},
        "spark": {"app_name": "score-${params.n}"},
        "incremental": True,
    }
    (here / "job.yaml").write_text(json.dumps(document))
    return ScoringJob.from_yaml(here / "job.yaml", params={"n": value})


@pytest.mark.parametrize("kind", ["delta", "parquet"])
@pytest.mark.parametrize("first", [0, 5])
def test_a_parameter_that_selects_other_rows_is_refused(line: str, tmp_path: Path, kind: str, first: int) -> None:
    append(tmp_path / "in", 0, 10)
    where = "id < ${params.n}"
    assert with_param(line, tmp_path, kind, first, where).run().rows_scored == first
    for other in (7, 10):
        with pytest.raises(TargetError, match="other rows than this job selects"):
            with_param(line, tmp_path, kind, other, where).run()
    assert with_param(line, tmp_path, kind, first, where).run().nothing_new


def test_a_first_run_that_broke_is_not_begun_beside_by_another_parameter(
    line: str, tmp_path: Path, breaks: Break
) -> None:
    append(tmp_path / "in", 0, 10)
    where = "id < ${params.n}"
    breaks("placed:1:raise")
    with pytest.raises(InjectedError):
        with_param(line, tmp_path, "parquet", 5, where).run()
    breaks("")
    with pytest.raises(UnfinishedRunError, match="both move the bookmark"):
        with_param(line, tmp_path, "parquet", 7, where).run()
    with_param(line, tmp_path, "parquet", 5, where).run()
    assert predictions(tmp_path) == doubled(5)


@pytest.mark.parametrize("source", ["delta", "parquet"])
@pytest.mark.parametrize("kind", ["delta", "parquet"])
def test_the_bookmark_is_that_of_all_parameters(line: str, tmp_path: Path, kind: str, source: str) -> None:
    for number, value in enumerate((1, 2, 1, 1, 2)):
        append(tmp_path / "in", 3 * number) if source == "delta" else put(tmp_path, f"{number}", 3 * number)
        assert with_param(line, tmp_path, kind, value, "id >= 0").run().rows_scored == 3
    assert with_param(line, tmp_path, kind, 1, "id >= 0").run().nothing_new
    assert predictions(tmp_path) == doubled(15)


@pytest.mark.parametrize("source", ["delta", "parquet"])
@pytest.mark.parametrize("kind", ["delta", "parquet"])
def test_new_rows_that_a_plain_run_has_appended_are_refused(line: str, tmp_path: Path, kind: str, source: str) -> None:
    def grow(number: int) -> None:
        append(tmp_path / "in", 3 * number) if source == "delta" else put(tmp_path, f"{number}", 3 * number)

    grow(0)
    scoring = new_rows(line, tmp_path, kind)
    scoring.run()
    grow(1)
    target = {"path": str(tmp_path / "out"), "format": kind, "mode": "append"}
    assert job(line, {"path": str(tmp_path / "in"), "where": "id >= 3"}, target).run().rows_scored == 3
    for more in (None, 2):
        if more is not None:
            grow(more)
        with pytest.raises(TargetError, match="without `incremental` has put rows into the target") as refused:
            scoring.run()
    assert "--set target.mode=overwrite" in refused.value.next_step
    assert predictions(tmp_path) == doubled(6)
    new_rows(line, tmp_path, kind, target={"mode": "overwrite"}).run()
    grow(3)
    assert scoring.run().rows_scored == 3
    assert predictions(tmp_path) == doubled(12)


def test_the_bookmark_outlives_the_commit_and_the_ledger(line: str, tmp_path: Path) -> None:
    append(tmp_path / "in", 0)
    scoring = new_rows(line, tmp_path)
    scoring.run()
    out = DeltaTable(tmp_path / "out")
    out.alter.set_table_properties({"delta.logRetentionDuration": "interval 0 days"})
    out.create_checkpoint()
    (tmp_path / "out" / "_delta_log" / f"{0:020}.json").unlink()
    for path in sorted((tmp_path / ".out.spark_infer").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    append(tmp_path / "in", 3)
    assert counts(scoring.run()) == (0, 3, False)
    assert predictions(tmp_path) == doubled(6)


def test_a_mode_that_cannot_add_rows_and_a_source_without_versions_are_refused(line: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"set target\.mode to append"):
        new_rows(line, tmp_path, target={"mode": "error_if_exists"})


def test_the_command_line_scores_new_rows_and_shows_the_bookmark(line: str, tmp_path: Path) -> None:
    append(tmp_path / "in", 0)
    file = tmp_path / "job.yaml"
    file.write_text(
        f"model: {line}\nsource: {tmp_path / 'in'}\nengine: local\ntarget: {{path: {tmp_path / 'out'}, mode: append}}\n"
    )

    def call(*arguments: str) -> str:
        ended = CliRunner().invoke(app, [*arguments, "--log-file", str(tmp_path / "log")])
        assert ended.exit_code == 0, ended.output
        return ended.stdout

    call("run", str(file), "--incremental")
    append(tmp_path / "in", 3)
    assert "3 rows scored" in call("run", str(file), "--incremental")
    assert "nothing to do" in call("run", str(file), "--incremental")
    file.write_text(file.read_text() + "incremental: true\n")
    assert f"the target holds predictions of {tmp_path / 'in'} up to version 1, by model" in call("status", str(file))
    assert json.loads(call("status", str(file), "--json"))["bookmark"]["source_version"] == 1


@pytest.mark.parametrize("seed", range(3))
def test_a_random_history_scored_step_by_step_equals_a_full_rescore(
    line: str, tripling: str, tmp_path: Path, seed: int
) -> None:
    history = History(tmp_path, seed, {line: 2.0, tripling: 3.0})
    try:
        history.go(12)
    except Exception as error:
        error.add_note(" ".join(history.trace))
        raise


def put(here: Path, name: str, first: int, count: int = 3) -> None:
    (here / "in").mkdir(exist_ok=True)
    ids = list(range(first, first + count))
    pq.write_table(pa.table({"id": ids, "x": [float(each) for each in ids]}), here / "in" / f"{name}.parquet")


@pytest.mark.parametrize("kind", ["delta", "parquet"])
def test_new_files_of_a_parquet_folder_are_scored_once(line: str, tmp_path: Path, breaks: Break, kind: str) -> None:
    put(tmp_path, "a", 0)
    scoring = new_rows(line, tmp_path, kind, units={"bytes": 1})
    assert counts(scoring.run()) == (None, 3, False)
    assert counts(scoring.run()) == (1, 0, True)
    put(tmp_path, "c", 3)
    put(tmp_path, "b", 6)
    breaks("sealed:2:raise")
    with pytest.raises(InjectedError):
        scoring.run()
    breaks("")
    put(tmp_path, "d", 9)
    report = scoring.run()
    assert counts(report) == (1, 6, False)
    assert "only files that are new beside 1 others" in str(report)
    assert counts(scoring.run()) == (3, 3, False)
    assert predictions(tmp_path) == doubled(12)
    assert counts(scoring.run()) == (4, 0, True)


@pytest.mark.parametrize("gone", [True, False])
def test_parquet_files_that_were_scored_and_changed_since_are_refused(line: str, tmp_path: Path, gone: bool) -> None:
    put(tmp_path, "a", 0)
    put(tmp_path, "b", 3)
    scoring = new_rows(line, tmp_path)
    scoring.run()
    if gone:
        (tmp_path / "in" / "b.parquet").unlink()
    else:
        put(tmp_path, "b", 6)
    with pytest.raises(SourceError, match=f"{'gone' if gone else 'written again'}: b.parquet"):
        scoring.run()
    assert predictions(tmp_path) == doubled(6)
    assert new_rows(line, tmp_path, target={"mode": "overwrite"}).run().rows_scored == (3 if gone else 6)
    assert scoring.run().nothing_new


def test_a_list_of_files_that_is_gone_is_refused(line: str, tmp_path: Path) -> None:
    put(tmp_path, "a", 0)
    scoring = new_rows(line, tmp_path)
    scoring.run()
    next((tmp_path / ".out.spark_infer").rglob("source.*.json")).unlink()
    put(tmp_path, "b", 3)
    with pytest.raises(TargetError, match="is gone from the ledger"):
        scoring.run()


def test_lists_of_files_are_kept_by_the_newest_runs(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drive, "_MOST_LISTS", 2)
    for number in range(4):
        put(tmp_path, f"{number}", 3 * number)
        assert new_rows(line, tmp_path).run().rows_scored == 3
    kept = sorted(path.parent.name.split(".")[2] for path in (tmp_path / ".out.spark_infer").rglob("source.*.json"))
    assert kept == ["0003", "0004"]


@pytest.mark.parametrize("kind", ["delta", "parquet"])
def test_new_rows_that_the_condition_leaves_out_move_the_bookmark(line: str, tmp_path: Path, kind: str) -> None:
    append(tmp_path / "in", 0)
    source = {"path": str(tmp_path / "in"), "where": "id < 5"}
    scoring = job(line, source, {"path": str(tmp_path / "out"), "format": kind, "mode": "append"}, incremental=True)
    scoring.run()
    append(tmp_path / "in", 6)
    assert counts(scoring.run()) == (0, 0, False)
    append(tmp_path / "in", 3)
    assert counts(scoring.run()) == (1, 2, False)
    assert predictions(tmp_path) == doubled(5)
