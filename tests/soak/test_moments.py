"""A driver that is killed at any moment, two drivers at once, and a reader that looks on."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.here import run_here
from tests.line import save_light_line
from tests.soak.counted import COUNTED
from tests.soak.tables import Verdict, Watcher, expected, read

UNITS, ROWS = 40, 500
KILLS = 50
BIG = 2**53


@pytest.fixture(scope="module")
def counting(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_light_line(tmp_path_factory.mktemp("line") / "model")


def make(folder: Path) -> None:
    """Forty files of five hundred rows."""
    folder.mkdir()
    for number in range(UNITS):
        ids = range(BIG + 1 + number * ROWS, BIG + 1 + (number + 1) * ROWS)
        table = pa.table({"id": ids, "x": [(i - BIG) / 8 for i in ids]}, pa.schema([("id", pa.int64()), ("x", "f8")]))
        pq.write_table(table, folder / f"{number:02}.parquet")


def job(model: str, here: Path, kind: str, **more: Any) -> dict[str, Any]:
    return {
        "engine": "local",
        "model": {"uri": model},
        "units": {"bytes": 1},
        "resources": {"cpus": 2},
        "source": {"path": str(here / "in")},
        "target": {"path": str(here / "out"), "format": kind, **more},
    }


def start(document: dict[str, Any], counted: Path | None = None, fault: str = "") -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.soak.driver", json.dumps(document)]
    environ = {**os.environ, **({} if counted is None else {COUNTED: str(counted)})}
    environ |= {"SPARK_INFER_FAULT": fault, "SPARK_INFER_TESTING": "1"} if fault else {}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, env=environ
    )


def finish(document: dict[str, Any], counted: Path | None = None) -> dict[str, Any]:
    running = start(document, counted)
    out, err = running.communicate(timeout=300)
    assert running.returncode == 0, err[-3000:]
    report: dict[str, Any] = json.loads(out.splitlines()[-1])
    return report


def sealed(here: Path) -> set[int]:
    """The units that are done, of the run that is not finished; all of them when it is."""
    runs = [folder for folder in (here / ".out.spark_infer").glob("score.*") if folder.is_dir()]
    if any((run / "report.json").exists() for run in runs):
        return set(range(UNITS))
    return {int(entry.stem) for run in runs for entry in (run / "units").glob("*.json")}


def predicted(counted: Path) -> list[int]:
    """The units whose rows were handed to the model, in order, as often as they were."""
    if not counted.exists():
        return []
    lines = [line.split() for line in counted.read_text().splitlines()]
    assert all(int(rows) == ROWS for _, rows in lines), "a unit is one batch"
    return [round(float(x) * 8 - 1) // ROWS for x, _ in lines]


def kill_again_and_again(counting: str, here: Path, kind: str, kills: int, seed: int) -> None:
    make(here / "in")
    old(counting, here, kind)
    document = {**job(counting, here, kind, mode="append"), "score": {"preprocess": "tests.soak.counted:count"}}
    counted = here / "counted.txt"
    chance, done, in_flight = random.Random(seed), set[int](), 0
    with Watcher(here / "out") as watcher:
        for _ in range(kills):
            before = len(predicted(counted))
            running = start(document, counted)
            # Until somewhere in the work: it starts with about a second of imports and planning.
            wait = chance.uniform(0.2, 4.0)
            try:
                running.wait(timeout=wait)
            except subprocess.TimeoutExpired:
                os.killpg(running.pid, signal.SIGKILL)
            running.communicate()
            asked = predicted(counted)[before:]
            assert not done.intersection(asked), "a unit that was done is scored again"
            assert sealed(here) >= done, "what was done is forgotten"
            done = sealed(here)
            in_flight += len([unit for unit in asked if unit not in done])
        report = finish(document, counted)
    wanted = expected_rows()
    verdict = Verdict.of(read(here / "out"), wanted)
    assert verdict.is_clean, verdict
    assert not watcher.errors
    assert report["rows_scored"] == UNITS * ROWS
    assert len(predicted(counted)) == UNITS + in_flight
    assert finish(document, counted)["already_done"]
    assert len(predicted(counted)) == UNITS + in_flight, "a finished run predicts nothing"
    assert Verdict.of(read(here / "out"), wanted).is_clean


def expected_rows() -> Any:
    rows = expected(old=False, new=False)
    rows.update((BIG + 1 + n, 2 * (1 + n) / 8) for n in range(UNITS * ROWS))
    rows[(-1, -2.0)] = 1
    return rows


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["delta"])
def test_a_driver_that_is_killed_comes_to_its_end(counting: str, tmp_path: Path, kind: str) -> None:
    kill_again_and_again(counting, tmp_path, kind, 1, seed=1)


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", ["delta", "parquet"])
def test_a_driver_that_is_killed_at_fifty_moments_comes_to_its_end(counting: str, tmp_path: Path, kind: str) -> None:
    kill_again_and_again(counting, tmp_path, kind, KILLS, seed=2)


def old(counting: str, here: Path, kind: str) -> None:
    """A target that is there, with one row."""
    (here / "old").mkdir()
    pq.write_table(pa.table({"id": [-1], "x": [-1.0]}), here / "old" / "a.parquet")
    run_here({**job(counting, here, kind), "name": "old", "source": {"path": str(here / "old")}})


def check_rows(here: Path, mode: str) -> None:
    wanted = expected_rows()
    if mode != "append":
        del wanted[(-1, -2.0)]
    verdict = Verdict.of(read(here / "out"), wanted)
    assert verdict.is_clean, verdict


MODES = ["error_if_exists", "append", "overwrite"]
EVERY_TARGET = [(kind, mode) for kind in ("parquet", "delta") for mode in MODES]
POINTS = {
    "seal": EVERY_TARGET,
    "placed": EVERY_TARGET,
    "report": EVERY_TARGET,
    "publish": [("parquet", "append"), ("delta", "append")],
    "journal": [("parquet", "error_if_exists"), ("parquet", "overwrite"), ("delta", "error_if_exists")],
    "commit": [("delta", "append"), ("delta", "overwrite")],
    "made": [("delta", "error_if_exists")],
    "renamed": [("delta", "error_if_exists")],
    "swapped": [("parquet", "overwrite")],
}
"""Where a driver is killed, and the targets whose runs come to that point."""


@pytest.mark.soak
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", ["parquet", "delta"])
def test_two_drivers_share_a_run_and_both_say_so(counting: str, tmp_path: Path, kind: str, mode: str) -> None:
    make(tmp_path / "in")
    if mode != "error_if_exists":
        old(counting, tmp_path, kind)
    document = job(counting, tmp_path, kind, mode=mode)
    both = [start(document), start(document)]
    told = [running.communicate(timeout=300) for running in both]
    assert [running.returncode for running in both] == [0, 0], [err[-2000:] for _, err in told]
    reports = [json.loads(out.splitlines()[-1]) for out, _ in told]
    assert len({report["run_id"] for report in reports}) == 1
    assert all(report["rows_scored"] == UNITS * ROWS for report in reports)
    own = [UNITS - each["units_before"] - each["units_elsewhere"] for each in reports if not each["already_done"]]
    assert sum(own) == UNITS if len(own) == 2 else 0 <= own[0] <= UNITS
    check_rows(tmp_path, mode)
    assert run_here(document).already_done


@pytest.mark.soak
@pytest.mark.parametrize(
    ("point", "kind", "mode"), [(point, *target) for point, targets in POINTS.items() for target in targets]
)
def test_a_driver_whose_rival_is_killed_anywhere_takes_over(
    counting: str, tmp_path: Path, point: str, kind: str, mode: str
) -> None:
    make(tmp_path / "in")
    if mode != "error_if_exists":
        old(counting, tmp_path, kind)
    document = job(counting, tmp_path, kind, mode=mode)
    rival, other = start(document, fault=f"{point}:1:sigkill"), start(document)
    out, err = other.communicate(timeout=300)
    _, rival_err = rival.communicate(timeout=300)
    assert other.returncode == 0, err[-2000:]
    assert rival.returncode in (0, -signal.SIGKILL), rival_err[-2000:]
    assert json.loads(out.splitlines()[-1])["rows_scored"] == UNITS * ROWS
    check_rows(tmp_path, mode)


@pytest.mark.soak
@pytest.mark.parametrize("point", ["journal", "placed", "made"])
def test_a_driver_that_hangs_while_it_publishes_ends_well_when_it_comes_back(
    counting: str, tmp_path: Path, point: str
) -> None:
    make(tmp_path / "in")
    document = job(counting, tmp_path, "delta")
    rival = start(document, fault=f"{point}:1:sigstop")
    os.waitid(os.P_PID, rival.pid, os.WSTOPPED)
    assert finish(document)["rows_scored"] == UNITS * ROWS
    os.kill(rival.pid, signal.SIGCONT)
    out, err = rival.communicate(timeout=300)
    assert rival.returncode == 0, err[-2000:]
    assert json.loads(out.splitlines()[-1])["already_done"]
    check_rows(tmp_path, "error_if_exists")


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["parquet", "delta"])
def test_a_reader_of_a_table_that_is_replaced_sees_the_old_or_the_new_one(
    counting: str, tmp_path: Path, kind: str
) -> None:
    make(tmp_path / "in")
    run_here(job(counting, tmp_path, kind))
    with Watcher(tmp_path / "out") as watcher:
        time.sleep(0.3)
        finish({**job(counting, tmp_path, kind, mode="overwrite"), "name": "again"})
    assert not watcher.errors
    assert watcher.states == {(0, UNITS * ROWS)}
    assert watcher.looks > 20
