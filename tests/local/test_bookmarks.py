"""The bookmark of a target: where it stands, whose it is, and which runs may not go on from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable, write_deltalake

from spark_infer import ScoringJob
from spark_infer.errors import TargetError, UnfinishedRunError
from spark_infer.job.units.pinned_source import open_pinned
from spark_infer.runtime.failpoints import InjectedError
from tests.local.jobs import job
from tests.local.new_rows import Break, append, counts, doubled, new_rows, predictions, put
from tests.pairwise import pairwise

pytestmark = pytest.mark.usefixtures("in_this_process")


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


@pytest.mark.parametrize(("kind", "source"), pairwise(["delta", "parquet"], ["delta", "parquet"]))
def test_the_bookmark_is_that_of_all_parameters(line: str, tmp_path: Path, kind: str, source: str) -> None:
    for number, value in enumerate((1, 2, 1, 1, 2)):
        append(tmp_path / "in", 3 * number) if source == "delta" else put(tmp_path, f"{number}", 3 * number)
        assert with_param(line, tmp_path, kind, value, "id >= 0").run().rows_scored == 3
    assert with_param(line, tmp_path, kind, 1, "id >= 0").run().nothing_new
    assert predictions(tmp_path) == doubled(15)


@pytest.mark.parametrize(("kind", "source"), pairwise(["delta", "parquet"], ["delta", "parquet"]))
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


@pytest.mark.parametrize(("kind", "source"), [("delta", "delta"), ("parquet", "delta"), ("parquet", "parquet")])
def test_a_command_that_is_planned_while_another_adds_its_rows_adds_none(
    line: str, tmp_path: Path, kind: str, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def grow(first: int) -> None:
        append(tmp_path / "in", first) if source == "delta" else put(tmp_path, f"{first}", first)

    grow(0)
    scoring = new_rows(line, tmp_path, kind)
    scoring.run()
    grow(3)

    def open_then_wait(*given: Any) -> Any:
        opened = open_pinned(*given)
        monkeypatch.undo()
        assert scoring.run().rows_scored == 3
        return opened

    monkeypatch.setattr("spark_infer.job.prepare.open_pinned", open_then_wait)
    assert scoring.run().nothing_new
    assert predictions(tmp_path) == doubled(6)


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


@pytest.mark.parametrize("how", ["delete all", "delete by condition", "overwrite", "replace by condition"])
def test_a_target_that_lost_all_its_rows_is_filled_again(line: str, tmp_path: Path, how: str) -> None:
    append(tmp_path / "in", 0)
    scoring = new_rows(line, tmp_path)
    scoring.run()
    append(tmp_path / "in", 3)
    scoring.run()
    out = DeltaTable(tmp_path / "out")
    rows = out.to_pyarrow_table().slice(0, 0)
    match how:
        case "delete all":
            out.delete()
        case "delete by condition":
            out.delete("id >= 0")
        case "overwrite":
            write_deltalake(out, rows, mode="overwrite")
        case _:
            write_deltalake(out, rows, mode="overwrite", predicate="id >= 0")
    assert predictions(tmp_path) == {}
    assert counts(scoring.run()) == (None, 6, False)
    append(tmp_path / "in", 6)
    assert counts(scoring.run()) == (1, 3, False)
    assert predictions(tmp_path) == doubled(9)


def test_a_target_of_which_some_rows_were_deleted_keeps_its_bookmark(line: str, tmp_path: Path) -> None:
    append(tmp_path / "in", 0)
    scoring = new_rows(line, tmp_path)
    scoring.run()
    DeltaTable(tmp_path / "out").delete("id = 1")
    append(tmp_path / "in", 3)
    assert counts(scoring.run()) == (0, 3, False)
    assert sorted(predictions(tmp_path)) == [0, 2, 3, 4, 5]
