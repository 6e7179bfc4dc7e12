"""A run in units goes on where it was stopped, and writes each row once."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from typer.testing import CliRunner

from spark_infer.cli.main import app
from spark_infer.core import faults
from spark_infer.core.faults import InjectedError
from spark_infer.errors import LedgerError, TargetError, UnfinishedRunError, WriteError
from spark_infer.job.local import run as local_run
from spark_infer.tables.durable import LocalDisk
from tests.here import tasks_here
from tests.local.test_local import job, read

FILES, ROWS = 8, 20
EACH = {"units": {"bytes": 1}}

Break = Callable[[str], None]


@pytest.fixture
def breaks(monkeypatch: pytest.MonkeyPatch) -> Break:
    """Has this process break at a point: ``seal:2:raise``; with "" no more."""
    monkeypatch.setenv("SPARK_INFER_TESTING", "1")

    def set_fault(text: str) -> None:
        monkeypatch.setattr(faults, "_fault", faults._Fault(text) if text else None)

    return set_fault


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Eight files of twenty rows: ``id``, ``x`` = id / 4 and ``part``, 0 to 3."""
    (tmp_path / "in").mkdir()
    for number in range(FILES):
        ids = np.arange(number * ROWS, (number + 1) * ROWS)
        pq.write_table(pa.table({"id": ids, "x": ids / 4, "part": ids % 4}), tmp_path / "in" / f"{number}.parquet")
    return tmp_path / "in"


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_run, "do_tasks", tasks_here)


def exact(folder: Path, first: int = 0, copies: int = 1) -> None:
    rows = [row for row in read(folder) if row["id"] >= first]
    assert [row["id"] for row in rows] == [i for i in range(first, FILES * ROWS) for _ in range(copies)]
    assert [row["prediction"] for row in rows] == pytest.approx([row["id"] / 2 for row in rows])


def old_rows(line: str, tmp_path: Path, kind: str) -> None:
    """A target that holds rows -4 to -1, of an earlier job."""
    (tmp_path / "old").mkdir()
    ids = np.arange(-4, 0)
    pq.write_table(pa.table({"id": ids, "x": ids / 4, "part": ids % 4}), tmp_path / "old" / "a.parquet")
    target = {"path": str(tmp_path / "out"), "format": kind, "partition_by": "part"}
    job(line, {"path": str(tmp_path / "old")}, target, name="earlier").run()


MODES: dict[str, dict[str, Any]] = {
    "error_if_exists": {},
    "append": {},
    "overwrite": {},
    "overwrite_partitions": {"partitions": {"part": [0, 1, 2, 3]}},
}


@pytest.mark.parametrize("kind", ["delta", "parquet"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("point", ["seal:3", "sealed:5", "publish:3", "placed:1", "finish:1", "published:1"])
def test_a_run_that_breaks_goes_on_and_writes_each_row_once(
    line: str, files: Path, tmp_path: Path, breaks: Break, kind: str, mode: str, point: str
) -> None:
    if mode != "error_if_exists":
        old_rows(line, tmp_path, kind)
    target = {"path": str(tmp_path / "out"), "format": kind, "mode": mode, **MODES[mode]}
    scoring = job(line, {"path": str(files)}, target, **EACH)
    before = read(tmp_path / "out") if mode != "error_if_exists" else None
    breaks(f"{point}:raise")
    broke = False
    try:
        scoring.run()
    except InjectedError:
        broke = True
    assert broke == (mode == "append" or not point.startswith("publish:"))
    if broke and before is not None and mode != "append" and not point.startswith("published"):
        assert read(tmp_path / "out") == before
    breaks("")
    report = scoring.run()
    assert report.already_done == (not broke)
    assert (report.units, report.rows_scored) == (FILES, FILES * ROWS)
    assert (report.units_before >= 1) == broke
    exact(tmp_path / "out")
    assert [row["id"] for row in read(tmp_path / "out")][:4] == ([-4, -3, -2, -1] if mode == "append" else [0, 1, 2, 3])
    again = scoring.run()
    assert (again.already_done, again.run_id) == (True, report.run_id)
    exact(tmp_path / "out")
    left = {path.name for path in (tmp_path / ".out.spark_infer").rglob("*") if path.is_file()}
    assert left == {"plan.json", "report.json"}


def test_units_that_are_done_are_not_scored_again(line: str, files: Path, tmp_path: Path, breaks: Break) -> None:
    scoring = job(line, {"path": str(files)}, {"path": str(tmp_path / "out")}, **EACH)
    breaks("sealed:4:raise")
    with pytest.raises(InjectedError):
        scoring.run()
    folder = next((tmp_path / ".out.spark_infer").iterdir())
    done = sorted((folder / "units").iterdir())
    times = [path.stat().st_mtime_ns for path in done]
    breaks("")
    plan = str(scoring.plan())
    assert f"{len(done)} of 8 units are done" in plan
    assert [path.stat().st_mtime_ns for path in done] == times
    report = scoring.run()
    assert (report.units_before, report.rows_scored) == (len(done), FILES * ROWS)


def test_a_changed_job_is_refused_while_a_run_is_unfinished(
    line: str, files: Path, tmp_path: Path, breaks: Break
) -> None:
    target = {"path": str(tmp_path / "out")}
    breaks("sealed:4:raise")
    with pytest.raises(InjectedError):
        job(line, {"path": str(files)}, target, **EACH).run()
    breaks("")
    with pytest.raises(UnfinishedRunError) as refused:
        job(line, {"path": str(files), "where": "id > 3"}, target, **EACH).run()
    assert "where: null then, id > 3 now" in str(refused.value)
    pq.write_table(pa.table({"id": [999], "x": [1.0], "part": [0]}), files / "9.parquet")
    with pytest.raises(UnfinishedRunError, match=r"source version: 8 files of .* then, 9 files"):
        job(line, {"path": str(files)}, target, **EACH).run()
    report = job(line, {"path": str(files)}, target, **EACH).run(new_run=True)
    assert (report.units_before, report.rows_scored) == (0, FILES * ROWS + 1)
    assert [row["id"] for row in read(tmp_path / "out")] == [*range(FILES * ROWS), 999]


def test_what_does_not_change_the_rows_may_change(line: str, files: Path, tmp_path: Path, breaks: Break) -> None:
    target = {"path": str(tmp_path / "out")}
    breaks("sealed:4:raise")
    with pytest.raises(InjectedError):
        job(line, {"path": str(files)}, target, **EACH).run()
    breaks("")
    report = job(line, {"path": str(files)}, target, score={"batch_size": 7}, units={"bytes": 10**9}).run()
    assert (report.units, report.units_before >= 4) == (FILES, True)
    exact(tmp_path / "out")


def test_an_append_happens_once_and_again_only_on_request(line: str, files: Path, tmp_path: Path) -> None:
    for kind in ("delta", "parquet"):
        target = {"path": str(tmp_path / kind), "format": kind, "mode": "append"}
        scoring = job(line, {"path": str(files)}, target)
        scoring.run()
        for _ in range(3):
            assert scoring.run().already_done
        exact(tmp_path / kind)
        assert not scoring.run(new_run=True).already_done
        exact(tmp_path / kind, copies=2)


def test_an_overwrite_is_done_again_where_the_target_has_changed(line: str, files: Path, tmp_path: Path) -> None:
    for kind in ("delta", "parquet"):
        target = {"path": str(tmp_path / kind), "format": kind, "mode": "overwrite"}
        scoring, first = job(line, {"path": str(files)}, target), job(line, {"path": str(files)}, target, name="other")
        assert not scoring.run().already_done
        assert scoring.run().already_done
        assert not first.run().already_done
        assert not scoring.run().already_done
        exact(tmp_path / kind)


def test_a_target_that_is_gone_is_made_again(line: str, files: Path, tmp_path: Path) -> None:
    scoring = job(line, {"path": str(files)}, {"path": str(tmp_path / "out")})
    scoring.run()
    (tmp_path / "out").rename(tmp_path / "away")
    assert not scoring.run().already_done
    exact(tmp_path / "out")
    with pytest.raises(TargetError, match="exists already"):
        job(line, {"path": str(files), "where": "id > 3"}, {"path": str(tmp_path / "out")}).run()


def test_a_ledger_that_is_damaged_never_counts_as_empty(line: str, files: Path, tmp_path: Path, breaks: Break) -> None:
    scoring = job(line, {"path": str(files)}, {"path": str(tmp_path / "out")}, **EACH)
    breaks("sealed:4:raise")
    with pytest.raises(InjectedError):
        scoring.run()
    breaks("")
    folder = next((tmp_path / ".out.spark_infer").iterdir())
    for path in [folder / "plan.json", next((folder / "units").iterdir()), next(folder.glob("tasks.*"))]:
        whole = path.read_bytes()
        for part in (b"", whole[: len(whole) // 2], b"[]", whole.replace(b'"run_id": "', b'"run_id": "0')):
            if part == whole:
                continue
            path.write_bytes(part)
            with pytest.raises(LedgerError, match="damaged"):
                scoring.run()
        path.write_bytes(whole)
    scoring.run()
    exact(tmp_path / "out")


def test_a_delta_commit_says_which_run_and_unit_made_it(line: str, files: Path, tmp_path: Path) -> None:
    target = {"path": str(tmp_path / "out"), "format": "delta", "mode": "append"}
    old_rows(line, tmp_path, "delta")
    report = job(line, {"path": str(files)}, target, **EACH).run()
    table = DeltaTable(tmp_path / "out")
    units = [json.loads(each["userMetadata"]).get("unit") for each in table.history() if "userMetadata" in each]
    assert units == [7, 6, 5, 4, 3, 2, 1, 0, None]
    assert table.transaction_version(f"spark_infer/{report.run}/{report.run_id}") == FILES
    assert report.target_version == table.version()


def test_status_and_report_tell_what_the_ledger_holds(line: str, files: Path, tmp_path: Path, breaks: Break) -> None:
    document = {
        "name": "nightly",
        "engine": "local",
        "model": {"uri": line},
        "source": {"path": str(files)},
        "target": {"path": str(tmp_path / "out")},
        **EACH,
    }
    job_file = tmp_path / "job.yaml"
    job_file.write_text(json.dumps(document))

    def command(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, [*words, str(job_file), "--log-file", str(tmp_path / "log")])
        return done.exit_code, done.output

    assert command("status") == (0, "no run has written into this target\n")
    code, told = command("report")
    assert (code, "No finished run" in told) == (2, True)
    breaks("sealed:4:raise")
    assert command("run")[0] == 1
    breaks("")
    code, told = command("status")
    assert "unfinished" in told
    assert "4 of 8 units, 80 rows" in told
    assert command("run")[0] == 0
    code, told = command("status", "--json")
    (state,) = json.loads(told)["runs"]
    assert (state["state"], state["units_done"], state["rows"]) == ("finished", FILES, FILES * ROWS)
    code, told = command("report", "--json")
    assert json.loads(told)["units_before"] == 4
    code, told = command("run")
    assert (code, "nightly: nothing to do, this run is finished" in told) == (0, True)


def test_a_copy_of_a_replaced_table_is_not_exchanged_for_the_old_one(
    line: str, files: Path, tmp_path: Path, breaks: Break
) -> None:
    old_rows(line, tmp_path, "parquet")
    scoring = job(line, {"path": str(files)}, {"path": str(tmp_path / "out"), "mode": "overwrite"}, **EACH)
    breaks("swapped:1:raise")
    with pytest.raises(InjectedError):
        scoring.run()
    breaks("")
    assert len(read(tmp_path / "out")) == FILES * ROWS
    shutil.copytree(tmp_path / "out", tmp_path / "copy")
    shutil.rmtree(tmp_path / "out")
    (tmp_path / "copy").rename(tmp_path / "out")
    scoring.run()
    exact(tmp_path / "out")
    assert len(read(tmp_path / "out")) == FILES * ROWS


def test_a_run_without_its_ledger_is_another_run(line: str, files: Path, tmp_path: Path) -> None:
    old_rows(line, tmp_path, "delta")
    scoring = job(line, {"path": str(files)}, {"path": str(tmp_path / "out"), "mode": "append"}, **EACH)
    scoring.run()
    shutil.rmtree(tmp_path / ".out.spark_infer")
    assert not scoring.run().already_done
    exact(tmp_path / "out", copies=2)


def test_rows_that_somebody_took_back_are_missed(line: str, files: Path, tmp_path: Path, breaks: Break) -> None:
    old_rows(line, tmp_path, "delta")
    scoring = job(line, {"path": str(files)}, {"path": str(tmp_path / "out"), "mode": "append"}, **EACH)
    breaks("publish:4:raise")
    with pytest.raises(InjectedError):
        scoring.run()
    breaks("")
    DeltaTable(tmp_path / "out").restore(0)
    with pytest.raises(WriteError, match="files that this run wrote are gone"):
        scoring.run()
    assert scoring.run(new_run=True).rows_scored == FILES * ROWS
    exact(tmp_path / "out")
    assert scoring.run().already_done
    DeltaTable(tmp_path / "out").optimize.compact()
    assert scoring.run().already_done
    DeltaTable(tmp_path / "out").restore(0)
    with pytest.raises(UnfinishedRunError, match="no longer in the target"):
        scoring.run()


def test_a_file_that_somebody_removed_is_missed(line: str, files: Path, tmp_path: Path) -> None:
    scoring = job(line, {"path": str(files)}, {"path": str(tmp_path / "out"), "mode": "append"}, **EACH)
    scoring.run()
    next((tmp_path / "out").glob("*.parquet")).unlink()
    with pytest.raises(UnfinishedRunError, match="1 files that it wrote are no longer in the target"):
        scoring.run()


def test_a_table_that_is_moved_with_its_ledger_goes_on(line: str, files: Path, tmp_path: Path, breaks: Break) -> None:
    (tmp_path / "a").mkdir()
    breaks("publish:4:raise")
    target = {"path": str(tmp_path / "a" / "out"), "format": "parquet", "mode": "append"}
    pq.write_table(pa.table({"id": [-1], "x": [0.0], "part": [0]}), tmp_path / "one.parquet")
    job(line, {"path": str(tmp_path / "one.parquet")}, target, name="one").run()
    with pytest.raises(InjectedError):
        job(line, {"path": str(files)}, target, **EACH).run()
    breaks("")
    (tmp_path / "a").rename(tmp_path / "b")
    report = job(line, {"path": str(files)}, {**target, "path": str(tmp_path / "b" / "out")}, **EACH).run()
    assert report.units_before >= 3
    exact(tmp_path / "b" / "out")


@pytest.mark.parametrize("kind", ["delta", "parquet"])
def test_a_run_that_cannot_get_to_its_end_can_be_given_up(
    line: str, files: Path, tmp_path: Path, breaks: Break, kind: str
) -> None:
    target = {"path": str(tmp_path / "out"), "format": kind}
    scoring = job(line, {"path": str(files)}, target, **EACH)
    breaks("journal:1:raise")
    with pytest.raises(InjectedError):
        scoring.run()
    breaks("")
    pq.write_table(pa.table({"id": [999], "x": [1.0], "part": [0]}), files / "9.parquet")
    changed = job(line, {"path": str(files)}, target, **EACH)
    with pytest.raises(UnfinishedRunError, match="planned something else"):
        changed.run()
    assert changed.run(new_run=True).rows_scored == FILES * ROWS + 1


@pytest.mark.parametrize("kind", ["delta", "parquet"])
def test_where_nothing_can_be_renamed_into_the_target_the_ledger_lies_inside(
    line: str, files: Path, tmp_path: Path, breaks: Break, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    old_rows(line, tmp_path, kind)
    shutil.rmtree(tmp_path / ".out.spark_infer")
    monkeypatch.setattr(LocalDisk, "stands_alone", lambda self, folder: True)
    scoring = job(line, {"path": str(files)}, {"path": str(tmp_path / "out"), "mode": "append"}, **EACH)
    breaks("sealed:3:raise")
    with pytest.raises(InjectedError):
        scoring.run()
    breaks("")
    assert scoring.run().units_before == 3
    exact(tmp_path / "out")
    assert not (tmp_path / ".out.spark_infer").exists()
    assert scoring.run().already_done
    if kind == "parquet":
        with pytest.raises(TargetError, match="cannot be exchanged"):
            job(line, {"path": str(files)}, {"path": str(tmp_path / "out"), "mode": "overwrite"}).run()


def test_a_report_that_is_damaged_never_counts_as_none(line: str, files: Path, tmp_path: Path) -> None:
    scoring = job(line, {"path": str(files)}, {"path": str(tmp_path / "out")})
    scoring.run()
    (report,) = (tmp_path / ".out.spark_infer").glob("*/report.json")
    for text in (b"{}", b"", report.read_bytes().replace(b"160", b"161")):
        report.write_bytes(text)
        with pytest.raises(LedgerError, match="damaged"):
            scoring.run()
