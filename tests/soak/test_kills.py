"""A job whose processes are killed, starved or refused at named points, by seed, until it is done: nothing is lost.

`make test` runs one seed on engine `local`; `make soak` runs hundreds, and Spark.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.here import run_here
from tests.line import save_light_line
from tests.soak.tables import FILES, ROWS, Verdict, Watcher, expected, make_old, make_source, read

MODES = ("error_if_exists", "append", "overwrite", "overwrite_partitions")
WORKER_POINTS = ("task", "batch", "task_written")
DRIVER_POINTS = ("scored", "seal", "sealed", "publish", "place", "placed", "commit", "committed", "journal", "swap")
LAST_POINTS = ("made", "renamed", "swapped", "finish", "published", "report", "clean")
ACTIONS = ("raise", "sigkill", "sigkill", "enospc", "delay")
SHORT = (32,)  # a worker is killed at its third task, once: the story with the fewest commands
LONG = range(1, 201)
LONG_ON_SPARK = range(1000, 1020)


@dataclass(frozen=True)
class Story:
    """What a seed decides."""

    kind: str
    mode: str
    faults: tuple[str, ...]

    @classmethod
    def of(cls, seed: int) -> Story:
        """Choose a format, a mode and one to three faults, each for one command."""
        chance = random.Random(seed)
        points = chance.choice([WORKER_POINTS, DRIVER_POINTS, DRIVER_POINTS, LAST_POINTS])
        faults = [
            f"{chance.choice(points)}:{chance.randint(1, 6)}:{chance.choice(ACTIONS)}"
            for _ in range(chance.randint(1, 3))
        ]
        return cls(chance.choice(["delta", "parquet"]), chance.choice(MODES), tuple(faults))


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_light_line(tmp_path_factory.mktemp("line") / "model")


def drive(document: dict[str, Any], fault: str, marker: Path) -> dict[str, Any] | None:
    """Run the job in a driver of its own; returns the report, None where it did not come so far."""
    environ = {**os.environ, "SPARK_INFER_TESTING": "1"}
    if fault:
        environ["SPARK_INFER_FAULT"] = f"{fault}:{marker}"
    command = [sys.executable, "-m", "tests.soak.driver", json.dumps(document)]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        assert fault, done.stderr[-3000:]
        return None
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return report


def live(seed: int, line: str, here: Path, engine: str) -> None:
    story = Story.of(seed)
    make_source(here / "in", story.kind)
    out, existed = here / "out", story.mode != "error_if_exists"
    settings: dict[str, Any] = {"engine": engine, "model": {"uri": line}, "units": {"bytes": 1}}
    settings |= {"resources": {"cpus": 2}} if engine == "local" else {"spark": {"master": "local[2,4]"}}
    target: dict[str, Any] = {"path": str(out), "format": story.kind, "mode": story.mode}
    if existed:
        make_old(here / "old")
        first = {**target, "mode": "error_if_exists", "partition_by": ["part"]}
        earlier = {"engine": "local", "model": {"uri": line}, "name": "old", "source": {"path": str(here / "old")}}
        run_here({**earlier, "target": first})
    if story.mode == "overwrite_partitions":
        target["partitions"] = {"part": [0, 1, 2]}
    job = {**settings, "source": {"path": str(here / "in")}, "target": target}
    with Watcher(out) as watcher:
        for number, fault in enumerate(story.faults):
            drive(job, fault, here / f"fault-{number}")
        report = drive(job, "", here)
    assert report is not None
    wanted = expected(old=story.mode == "append", new=True)
    verdict = Verdict.of(read(out), wanted)
    assert verdict.is_clean, f"seed {seed}, {story}: {verdict}"
    assert not watcher.errors, f"seed {seed}, {story}: {watcher.errors}"
    states = {(ROWS if existed else 0, 0), (ROWS if story.mode == "append" else 0, FILES * ROWS)}
    if story.mode == "append" or (story.mode == "overwrite_partitions" and story.kind == "parquet"):
        torn = {state for state in watcher.states if state[0] > ROWS or state[1] > FILES * ROWS}
    else:
        torn = watcher.states - states
    assert not torn, f"seed {seed}, {story}: {torn}"
    assert run_here({**job, "engine": "local"}).already_done, f"seed {seed}, {story}"
    left = {path.name for path in (here / ".out.spark_infer").rglob("*") if path.is_file()}
    assert left == {"plan.json", "report.json"}, f"seed {seed}, {story}: {left}"


@pytest.mark.slow
@pytest.mark.parametrize("seed", SHORT)
def test_a_job_that_is_broken_is_finished_by_the_same_command(seed: int, line: str, tmp_path: Path) -> None:
    live(seed, line, tmp_path, "local")


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", LONG)
def test_hundreds_of_broken_jobs_are_finished(seed: int, line: str, tmp_path: Path) -> None:
    live(seed, line, tmp_path, "local")


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", LONG_ON_SPARK)
def test_broken_jobs_on_spark_are_finished(seed: int, line: str, tmp_path: Path) -> None:
    live(seed, line, tmp_path, "spark")
