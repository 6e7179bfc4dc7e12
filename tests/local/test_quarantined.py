"""Quarantined rows that are scored again: what succeeds moves to the target once, whatever is killed when."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

from spark_infer import Report, ScoringJob
from spark_infer.config import JobConfig
from spark_infer.config.load import load_job
from spark_infer.errors import SourceError, TargetError, UnfinishedRunError
from spark_infer.job.units.history import history, job_state
from spark_infer.runtime.failpoints import InjectedError
from spark_infer.tables.local_tables import LocalTables
from tests.local.jobs import job, read
from tests.local.test_bad_rows import quarantined

pytestmark = pytest.mark.usefixtures("in_this_process")

ROWS = 400
BAD = {5: 501.0, 105: 500.0, 205: 501.0, 305: 501.0}
"""`strict` fails for all of them, `moody` for one, and `line` for none."""
STILL_BAD = [105]
ALL = [*range(ROWS)]


def rows_in(folder: Path, first: int = 0) -> Path:
    """Two files of 200 rows, in row groups of 50, of which the model fails for some."""
    folder.mkdir(exist_ok=True)
    for start in range(first, first + ROWS, ROWS // 2):
        ids = np.arange(start, start + ROWS // 2)
        values = [BAD.get(key - first, key / 4) for key in ids.tolist()]
        pq.write_table(pa.table({"id": ids, "x": values}), folder / f"{start}.parquet", row_group_size=50)
    return folder


def first(model: str, source: Any, tmp_path: Path, kind: str, **more: Any) -> ScoringJob:
    """The job as it runs every night."""
    document = {
        "score": {"on_error": "quarantine", "batch_size": 100},
        "quarantine": {"path": str(tmp_path / "aside"), "format": kind, "columns": ["id"]},
        "units": {"bytes": 1},
        **more,
    }
    target = {"path": str(tmp_path / "out"), "format": kind, **more.get("target", {})}
    return job(model, source if isinstance(source, dict) else str(source), **{**document, "target": target})


def again(scoring: ScoringJob, model: str, *, new_run: bool = False, **changed: Any) -> Report:
    document = scoring.config.model_dump(exclude_unset=True)
    return ScoringJob(JobConfig.model_validate(document | {"model": model, "quarantined": True} | changed)).run(
        new_run=new_run
    )


def next_night(scoring: ScoringJob, model: str, tmp_path: Path) -> Report:
    """The same job, with other rows."""
    source = {"path": str(rows_in(tmp_path / "in", ROWS)), "where": f"id >= {ROWS}"}
    target = {**scoring.config.target.model_dump(exclude_unset=True), "mode": "append"}
    return again(scoring, model, quarantined=None, source=source, target=target)


def seen(tmp_path: Path) -> tuple[list[int], list[int]]:
    """The keys in the target, and those in the quarantine."""
    return [row["id"] for row in read(tmp_path / "out")], [row["id"] for row in quarantined(tmp_path / "aside")]


@pytest.mark.parametrize("kind", ["delta", "parquet"])
def test_what_succeeds_leaves_the_quarantine_and_what_fails_again_stays(
    strict: str, moody: str, line: str, tmp_path: Path, kind: str
) -> None:
    scoring = first(strict, rows_in(tmp_path / "in"), tmp_path, kind)
    scoring.run()
    report = again(scoring, moody)
    assert (report.rows_read, report.rows_scored, report.rows_quarantined) == (4, 3, 1)
    nights = history(scoring.config, LocalTables())
    assert [(each.rows, each.bad_rows, each.rows_quarantined) for each in nights] == [(ROWS - 4, 4, 4), (3, 1, 1)]
    assert "396 rows, 4 quarantined" in str(nights[0])
    assert ", quarantined rows  " in str(nights[1])
    assert seen(tmp_path) == ([key for key in ALL if key not in STILL_BAD], STILL_BAD)
    (left,) = quarantined(tmp_path / "aside")
    assert (left["run_id"], left["source_file"], left["source_row"]) == (report.run_id, "0.parquet", 105)
    assert job_state(scoring.config, LocalTables(), {}).quarantine_rows == 1
    report = again(scoring, line)
    assert (report.rows_read, report.rows_scored, report.rows_quarantined) == (1, 1, 0)
    assert seen(tmp_path) == (ALL, [])
    assert job_state(scoring.config, LocalTables(), {}).quarantine_rows == 0
    assert "no quarantined row is left" in str(again(scoring, line))
    # The next night is one like any other.
    rows_in(tmp_path / "in", ROWS)
    report = next_night(scoring, moody, tmp_path)
    assert (report.rows_scored, report.rows_quarantined) == (ROWS - 1, 1)


POINTS = ["placed:1", "placed:2", "leave:1", "remove:1", "published:1"]


@pytest.mark.parametrize("kind", ["delta", "parquet"])
@pytest.mark.parametrize("point", POINTS)
def test_a_repeat_that_breaks_moves_each_row_once(
    strict: str, moody: str, tmp_path: Path, breaks: Callable[[str], None], kind: str, point: str
) -> None:
    scoring = first(strict, rows_in(tmp_path / "in"), tmp_path, kind)
    scoring.run()
    breaks(f"{point}:raise")
    with pytest.raises(InjectedError):
        again(scoring, moody)
    scored, aside = seen(tmp_path)
    assert len(scored) == len(set(scored))
    assert {*scored, *aside} == {*ALL}
    breaks("")
    if point in ("leave:1", "remove:1"):
        with pytest.raises(UnfinishedRunError, match="without --new-run"):
            again(scoring, moody, new_run=True)
    # All is scored: what became of the source, or of the files of the quarantine, keeps nothing from its end.
    (tmp_path / "in" / "0.parquet").unlink()
    if kind == "delta":
        DeltaTable(tmp_path / "aside").optimize.compact()
    again(scoring, moody)
    assert seen(tmp_path) == ([key for key in ALL if key not in STILL_BAD], STILL_BAD)


@pytest.mark.parametrize("kind", ["delta", "parquet"])
def test_a_repeat_that_breaks_before_all_is_scored_has_moved_nothing_and_can_be_given_up(
    strict: str, moody: str, line: str, tmp_path: Path, breaks: Callable[[str], None], kind: str
) -> None:
    scoring = first(strict, rows_in(tmp_path / "in"), tmp_path, kind)
    scoring.run()
    before = seen(tmp_path)
    breaks("seal:2:raise")
    with pytest.raises(InjectedError):
        again(scoring, moody)
    breaks("")
    assert seen(tmp_path) == before
    (tmp_path / "in" / "0.parquet").rename(tmp_path / "0.parquet")
    with pytest.raises(UnfinishedRunError, match="no longer as it was"):
        again(scoring, moody)
    (tmp_path / "0.parquet").rename(tmp_path / "in" / "0.parquet")
    again(scoring, line, new_run=True)
    assert seen(tmp_path) == (ALL, [])


def test_rows_of_a_target_that_was_emptied_stay_in_the_quarantine(
    strict: str, line: str, tmp_path: Path, breaks: Callable[[str], None]
) -> None:
    scoring = first(strict, rows_in(tmp_path / "in"), tmp_path, "delta")
    scoring.run()
    breaks("leave:1:raise")
    with pytest.raises(InjectedError):
        again(scoring, line)
    breaks("")
    DeltaTable(tmp_path / "out").delete()
    with pytest.raises(UnfinishedRunError, match="target was emptied"):
        again(scoring, line)
    assert again(scoring, line, new_run=True).rows_scored == 0
    assert seen(tmp_path) == ([], [*BAD])


def test_rows_of_one_run_alone_are_scored_again(strict: str, line: str, tmp_path: Path) -> None:
    scoring = first(strict, rows_in(tmp_path / "in"), tmp_path, "delta")
    one = scoring.run().run_id
    two = next_night(scoring, strict, tmp_path).run_id
    report = again(scoring, line, quarantined={"run_ids": [two]})
    assert (report.quarantined_runs, report.rows_scored) == ((two,), 4)
    assert f"only rows quarantined by run {two}" in str(report)
    assert {row["run_id"] for row in quarantined(tmp_path / "aside")} == {one}
    with pytest.raises(TargetError, match="has no rows in the quarantine") as refused:
        again(scoring, line, quarantined={"run_ids": [two]})
    assert one in str(refused.value)
    again(scoring, line)
    assert seen(tmp_path) == ([*range(2 * ROWS)], [])


def test_rows_of_a_run_are_added_as_long_as_the_target_has_others_of_it(strict: str, line: str, tmp_path: Path) -> None:
    nightly = {"path": str(rows_in(tmp_path / "in")), "where": f"id < {ROWS}"}
    scoring = first(strict, nightly, tmp_path, "delta", target={"mode": "append"})
    one = scoring.run().run_id
    two = next_night(scoring, strict, tmp_path).run_id
    table = DeltaTable(tmp_path / "out")
    table.delete(f"id < {ROWS}")
    table.delete(f"id > {ROWS + 9}")  # of the second night nine rows are left: 405 is a bad one
    table.optimize.compact()
    report = again(scoring, line)
    assert (report.quarantined_runs, report.rows_scored) == ((two,), 4)
    assert any("4 rows of" in each and "stay" in each for each in report.warnings)
    assert seen(tmp_path) == ([*range(ROWS, ROWS + 10), *(ROWS + key for key in BAD if key > 9)], [*BAD])
    assert {row["run_id"] for row in quarantined(tmp_path / "aside")} == {one}


def test_rows_that_a_later_run_replaced_are_not_added(strict: str, line: str, tmp_path: Path) -> None:
    scoring = first(strict, rows_in(tmp_path / "in"), tmp_path, "delta", target={"mode": "overwrite"})
    scoring.run()
    second = scoring.run(new_run=True).run_id
    report = again(scoring, line)
    assert report.quarantined_runs == (second,)
    assert any("4 rows of" in each and "stay" in each for each in report.warnings)
    assert [row["id"] for row in read(tmp_path / "out")] == ALL
    assert len(quarantined(tmp_path / "aside")) == 4


def test_a_source_that_was_compacted_is_refused_and_its_older_version_is_read(
    strict: str, line: str, tmp_path: Path
) -> None:
    write_deltalake(tmp_path / "in", pq.read_table(rows_in(tmp_path / "files")))
    scoring = first(strict, tmp_path / "in", tmp_path, "delta")
    scoring.run()
    write_deltalake(tmp_path / "in", pa.table({"id": [ROWS], "x": [1.0]}), mode="append")
    DeltaTable(tmp_path / "in").optimize.compact()
    with pytest.raises(SourceError, match="no longer where they were") as refused:
        again(scoring, line)
    assert "--set source.version" in str(refused.value)
    assert again(scoring, line, source={"path": str(tmp_path / "in"), "version": 0}).rows_scored == 4
    assert seen(tmp_path) == (ALL, [])


def test_a_file_that_was_written_again_is_refused(strict: str, line: str, tmp_path: Path) -> None:
    scoring = first(strict, rows_in(tmp_path / "in"), tmp_path, "parquet")
    scoring.run()
    there = tmp_path / "in" / "0.parquet"
    pq.write_table(pq.read_table(there), there)
    os.utime(there, ns=(1, 1))
    with pytest.raises(SourceError, match="no longer where they were"):
        again(scoring, line)
    assert len(quarantined(tmp_path / "aside")) == 4


def test_a_file_that_one_of_the_runs_read_before_it_was_written_again_is_refused(
    strict: str, line: str, tmp_path: Path
) -> None:
    source, there = rows_in(tmp_path / "in"), tmp_path / "in" / "0.parquet"
    nightly = {"path": str(source), "where": f"id < {ROWS}"}
    scoring = first(strict, nightly, tmp_path, "parquet", target={"mode": "append"})
    one = scoring.run().run_id
    later = [*range(ROWS, ROWS + 200)]
    pq.write_table(pa.table({"id": later, "x": [501.0, *map(float, range(199))]}), there)
    two = again(scoring, strict, quarantined=None, source={"path": str(source), "where": f"id >= {ROWS}"})
    assert (two.rows_scored, two.rows_quarantined) == (199, 1)
    with pytest.raises(SourceError, match="no longer where they were"):
        again(scoring, line)
    with pytest.raises(SourceError, match="no longer where they were"):
        again(scoring, line, quarantined={"run_ids": [one]})
    again(scoring, line, quarantined={"run_ids": [two.run_id]})
    assert seen(tmp_path) == (sorted({*ALL, *later} - {*BAD}), [*BAD])


@pytest.mark.parametrize("kind", ["delta", "parquet"])
@pytest.mark.parametrize(
    ("row", "words"),
    [(None, "`source_row` is null or negative"), (-1, "`source_row` is null or negative"), (999, "names row 999")],
)
def test_a_quarantine_that_was_edited_is_refused(
    strict: str, line: str, tmp_path: Path, kind: str, row: int | None, words: str
) -> None:
    files = rows_in(tmp_path / "files")
    if kind == "delta":
        write_deltalake(tmp_path / "in", pq.read_table(files))
    scoring = first(strict, files if kind == "parquet" else tmp_path / "in", tmp_path, kind)
    scoring.run()
    (aside, *_) = (tmp_path / "aside").rglob("*.parquet")
    held = pq.ParquetFile(aside).read()
    place = held.schema.get_field_index("source_row")
    rows = pa.array([row, *held["source_row"].to_pylist()[1:]], pa.int64())
    changed = held.set_column(place, "source_row", rows)
    if kind == "parquet":
        pq.write_table(changed, aside)
    else:
        run = next(iter(quarantined(tmp_path / "aside")))["run_id"]
        more = changed.append_column("run_id", pa.array([run] * len(changed)))
        write_deltalake(tmp_path / "aside", more, mode="append")
    with pytest.raises(SourceError, match=words):
        again(scoring, line)
    assert len(read(tmp_path / "out")) == ROWS - len(BAD)


@pytest.mark.parametrize("mode", ["append", "overwrite"])
def test_a_summary_is_refused(strict: str, tmp_path: Path, mode: str) -> None:
    planned = first(strict, tmp_path, tmp_path, "delta").config.model_dump(exclude_unset=True)
    summary = {"path": str(tmp_path / "sums"), "columns": {"rows": "count"}}
    target = {"path": str(tmp_path / "out"), "mode": mode}
    asked = {**planned, "target": target, "aggregate": summary, "quarantined": True}
    with pytest.raises(ValueError, match=r"leave `aggregate` out for this command \(--set aggregate=null\)"):
        JobConfig.model_validate(asked)
    for fits in ({"aggregate": None}, {"quarantined": None}):
        JobConfig.model_validate({**asked, **fits})
    file = tmp_path / "job.yaml"
    file.write_text(json.dumps(asked))
    assert load_job(file, ["aggregate=null"]).again is not None


def test_without_a_quarantine_and_with_merge_it_is_refused(strict: str, tmp_path: Path) -> None:
    planned = first(strict, tmp_path, tmp_path, "delta").config.model_dump(exclude_unset=True)
    with pytest.raises(ValueError, match="name it with `quarantine`"):
        JobConfig.model_validate({**planned, "score": {}, "quarantine": None, "quarantined": True})
    merge = {"engine": "spark", "target": {"path": "out", "mode": "merge", "keys": ["id"]}}
    with pytest.raises(ValueError, match="a merge replaces rows by keys"):
        JobConfig.model_validate({**planned, **merge, "quarantined": True})
