"""A run in units goes on where it was stopped, and writes each row once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from typer.testing import CliRunner

from spark_infer.cli.main import app
from spark_infer.errors import LedgerError, UnfinishedRunError
from spark_infer.observe.progress import Progress
from spark_infer.runtime.failpoints import InjectedError
from tests.local.eight import EACH, FILES, ROWS, exact, old_rows
from tests.local.jobs import job, read
from tests.pairwise import pairwise

pytestmark = pytest.mark.usefixtures("in_this_process")

Break = Callable[[str], None]


MODES: dict[str, dict[str, Any]] = {
    "error_if_exists": {},
    "append": {},
    "overwrite": {},
    "overwrite_partitions": {"partitions": {"part": [0, 1, 2, 3]}},
}


@pytest.mark.parametrize(
    ("point", "mode", "kind"),
    pairwise(["seal:3", "publish:3", "placed:1", "finish:1"], MODES, ["delta", "parquet"]),
)
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
    if broke and before is not None and mode != "append":
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
    assert "where: nothing then, id > 3 now" in str(refused.value)
    pq.write_table(pa.table({"id": [999], "x": [1.0], "part": [0]}), files / "9.parquet")
    again = job(line, {"path": str(files)}, target, **EACH)
    assert "goes on with the source as it was when it began (8 files" in again.plan().warnings[0]
    report = again.run(new_run=True)
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


def test_a_ledger_that_is_damaged_never_counts_as_empty(line: str, files: Path, tmp_path: Path, breaks: Break) -> None:
    scoring = job(line, {"path": str(files)}, {"path": str(tmp_path / "out")}, **EACH)
    breaks("sealed:4:raise")
    with pytest.raises(InjectedError):
        scoring.run()
    breaks("")
    folder = next((tmp_path / ".out.spark_infer").iterdir())
    (folder / "units").rename(folder / "elsewhere")
    with pytest.raises(LedgerError, match=r"has no .*units"):
        scoring.run()
    (folder / "elsewhere").rename(folder / "units")
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
    assert report.target_versions == tuple(range(1, FILES + 1))


def test_progress_counts_tasks_and_units(line: str, files: Path, tmp_path: Path, breaks: Break) -> None:
    scoring = job(line, {"path": str(files)}, {"path": str(tmp_path / "out")}, **EACH)
    breaks("sealed:4:raise")
    with pytest.raises(InjectedError):
        scoring.run()
    breaks("")
    seen: list[Progress] = []
    scoring.run(on_progress=seen.append)
    ends = [(each.tasks_done, each.tasks_total, each.units_done, each.units_total) for each in seen]
    assert (ends[0], ends[1], ends[-1]) == ((0, 4, 4, FILES), (1, 4, 4, FILES), (4, 4, FILES, FILES))
    assert seen[-1].rows_done == 4 * ROWS


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

    assert command("status") == (0, f"no run has written into this target: {tmp_path / 'out'}\n")
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


def test_a_report_that_is_damaged_never_counts_as_none(line: str, files: Path, tmp_path: Path) -> None:
    scoring = job(line, {"path": str(files)}, {"path": str(tmp_path / "out")})
    scoring.run()
    (report,) = (tmp_path / ".out.spark_infer").glob("*/report.json")
    for text in (b"{}", b"", report.read_bytes().replace(b"160", b"161")):
        report.write_bytes(text)
        with pytest.raises(LedgerError, match="damaged"):
            scoring.run()


@pytest.mark.parametrize(("where", "kind"), pairwise([None, "id < 0"], ["delta", "parquet"]))
def test_a_staged_folder_that_a_slow_driver_makes_again_does_not_keep_a_run_from_its_end(
    line: str, files: Path, tmp_path: Path, breaks: Break, kind: str, where: str | None
) -> None:
    scoring = job(line, {"path": str(files), "where": where}, {"path": str(tmp_path / "out"), "format": kind}, **EACH)
    breaks("published:1:raise")
    with pytest.raises(InjectedError):
        scoring.run()
    breaks("")
    (run,) = (path for path in (tmp_path / ".out.spark_infer").iterdir() if path.is_dir())
    assert not (run / "new").exists()
    (run / "new").mkdir()
    assert scoring.run().rows_scored == (0 if where else FILES * ROWS)
    assert scoring.run().already_done
    if not where:
        exact(tmp_path / "out")
    assert {path.name for path in run.iterdir()} == {"plan.json", "report.json"}
