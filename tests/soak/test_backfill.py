"""Twelve days of one job, some at once, whose drivers are killed at random while the source goes on: each day once."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake

from tests.line import save_light_line
from tests.soak.tables import read

DAYS, AT_ONCE, FILES, ROWS = 12, 3, 8, 50
MODES = ("append", "overwrite_partitions")
KINDS = ("delta", "parquet")


def day_of(number: int) -> str:
    return f"2026-11-{number:02}"


class Backfill:
    """The job file of a night, its tables, and what was done to them."""

    def __init__(self, here: Path, model: str, kind: str, mode: str, seed: int, days: int) -> None:
        self.here, self.kind, self.days, self.random = here, kind, range(1, days + 1), random.Random(seed)
        self.files = Counter[int]()
        for day in self.days:
            self.add(day, FILES)
        partitions = '\n  partitions: {day: "${params.day}"}' if mode == "overwrite_partitions" else ""
        (here / "job.yaml").write_text(
            "engine: local\nparams:\n  day: {type: date}\nunits: {bytes: 1}\nresources: {cpus: 2}\n"
            f'model: {model}\nsource:\n  path: {here}/in\n  partition_filter: {{day: "${{params.day}}"}}\n'
            f"target:\n  path: {here}/out\n  format: {kind}\n  mode: {mode}\n  partition_by: day{partitions}\n"
        )

    def add(self, day: int, files: int = 1) -> None:
        """Commit files to a day of the source; each has fifty rows with ids of their own."""
        for number in range(self.files[day], self.files[day] + files):
            ids = [day * 1_000_000 + number * ROWS + row for row in range(ROWS)]
            rows = pa.table({"id": ids, "x": [i / 8 for i in ids], "day": [day_of(day)] * ROWS})
            if self.kind == "delta":
                write_deltalake(self.here / "in", rows, mode="append", partition_by=["day"])
            else:
                folder = self.here / "in" / f"day={day_of(day)}"
                folder.mkdir(parents=True, exist_ok=True)
                pq.write_table(rows.drop_columns("day"), folder / f".{number}.writing")
                (folder / f".{number}.writing").rename(folder / f"{number}.parquet")
        self.files[day] += files

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "spark_infer.cli.main", "run", str(self.here / "job.yaml"), *arguments]
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, cwd=self.here
        )

    def states(self) -> dict[str, list[str]]:
        """The states of the runs of each day, as `status` has them."""
        command = [sys.executable, "-m", "spark_infer.cli.main", "status", str(self.here / "job.yaml"), "--json"]
        out = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout
        found: dict[str, list[str]] = {}
        for run in json.loads(out)["runs"]:
            found.setdefault(run["job_params"]["day"], []).append(run["state"])
        return found

    def begun_with(self) -> dict[int, int]:
        """How many rows each day had when its run began, by the plans in the ledger."""
        plans = [json.loads(path.read_text())["facts"] for path in (self.here / ".out.spark_infer").glob("*/plan.json")]
        return {int(plan["facts"]["params"]["day"][-2:]): plan["rows"] for plan in plans}

    def kill_and_commit(self, seconds: tuple[float, float], *arguments: str) -> None:
        """Start a command, and kill all its processes at a random moment; somebody commits to the source meanwhile."""
        running = self.start(*arguments)
        time.sleep(self.random.uniform(*seconds))
        self.add(self.random.choice(self.days))
        os.killpg(running.pid, signal.SIGKILL)
        running.communicate()


def live(backfill: Backfill, kills: int, seconds: tuple[float, float]) -> None:
    days = f"day={day_of(1)}..{day_of(len(backfill.days))}"
    asked = ("--backfill", days, "--parallel", str(AT_ONCE))
    for _ in range(kills):
        backfill.kill_and_commit(seconds, *asked)
    # A night by itself is not blocked by those that were killed.
    alone = backfill.start("--param", f"day={day_of(len(backfill.days))}", "--json")
    out, err = alone.communicate(timeout=300)
    assert alone.returncode == 0, err[-3000:]
    running = backfill.start(*asked, "--json")
    out, err = running.communicate(timeout=900)
    assert running.returncode == 0, out[-3000:] + err[-3000:]
    facts: dict[str, Any] = json.loads(out)
    assert {run["state"] for run in facts["runs"]} <= {"done", "done before"}
    assert backfill.states() == {day_of(day): ["finished"] for day in backfill.days}
    found = read(backfill.here / "out")
    assert found is not None
    times = Counter(key for key, _ in found.elements())
    assert set(times.values()) == {1}, "a row is there twice"
    assert all(value == 2 * key / 8 for key, value in found), "a prediction is another row's"
    of_day = Counter(key // 1_000_000 for key in times)
    assert dict(of_day) == backfill.begun_with(), "a day has other rows than it began with"
    again = backfill.start(*asked, "--json")
    out, _ = again.communicate(timeout=300)
    assert {run["state"] for run in json.loads(out)["runs"]} == {"done before"}
    left = {path.name for path in (backfill.here / ".out.spark_infer").rglob("*") if path.is_file()}
    assert left == {"plan.json", "report.json"}


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_light_line(tmp_path_factory.mktemp("line") / "model")


@pytest.mark.slow
def test_a_backfill_that_is_killed_does_each_day_once(line: str, tmp_path: Path) -> None:
    live(Backfill(tmp_path, line, "delta", "append", seed=1, days=2), 1, (2.0, 2.5))


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", KINDS)
def test_twelve_days_three_at_a_time_are_each_there_once(
    line: str, tmp_path: Path, kind: str, mode: str, seed: int
) -> None:
    live(Backfill(tmp_path, line, kind, mode, seed, DAYS), 5, (2.0, 8.0))
