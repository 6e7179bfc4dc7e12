"""A step's deadline ends a worker, and no process that is not one."""

from __future__ import annotations

import faulthandler
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from spark_infer.runtime.deadline import FOLDER, StepDeadlines, expired, stacks_of

TIMER = "PYTHON_TRACEBACK_DUMP_INTERVAL_SECONDS"


def limited(deadlines: StepDeadlines, seconds: float | None = 200.0) -> list[int]:
    """The seconds that are left in the limited block, and after it; 0 for none."""
    with deadlines.limit("predict", seconds):
        during = signal.getitimer(signal.ITIMER_REAL)[0]
    return [round(during), round(signal.getitimer(signal.ITIMER_REAL)[0])]


@pytest.fixture(autouse=True)
def without_timer() -> Iterator[None]:
    """Take the timer of pytest-timeout away meanwhile; the tests here have deadlines of their own."""
    left, handler = signal.setitimer(signal.ITIMER_REAL, 0), signal.getsignal(signal.SIGALRM)
    yield
    faulthandler.unregister(signal.SIGALRM)
    signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, *left)


def test_only_a_worker_is_ended_and_only_while_its_step_runs() -> None:
    deadlines = StepDeadlines({})
    assert limited(deadlines) == [0, 0]
    deadlines.may_end()
    assert limited(deadlines) == [200, 0]
    assert limited(deadlines, None) == [0, 0]


def test_no_step_has_a_deadline_where_spark_writes_stacks_now_and_then() -> None:
    deadlines = StepDeadlines({TIMER: "10"})
    deadlines.may_end()
    assert limited(deadlines) == [0, 0]


SLOW = """
import ctypes, os, sys, time
from spark_infer.runtime.deadline import StepDeadlines
naps = {"python": time.sleep, "with the lock": ctypes.PyDLL(None).sleep}
deadlines = StepDeadlines(os.environ)
for seconds in (0, 60):
    with deadlines.limit("predict", 1.0):
        naps[sys.argv[1]](seconds)
"""


@pytest.mark.parametrize("where", ["python", "with the lock"])
def test_a_process_ends_where_its_step_takes_too_long_and_its_file_says_where_it_stood(
    where: str, tmp_path: Path
) -> None:
    environ = {**os.environ, FOLDER: str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", SLOW, where], env=environ) as process:
        assert process.wait(timeout=30) == -signal.SIGALRM
    error = expired(stacks_of(tmp_path, process.pid))
    assert error is not None
    assert error.what.startswith("A worker was stopped, because the step `predict` took longer than 1 seconds")
    assert error.details[1:] == ("  <string>, line 8, in <module>",)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # its file stays open while it lives
def test_a_file_that_spark_made_for_the_next_task_is_the_one_that_is_written(tmp_path: Path) -> None:
    deadlines = StepDeadlines({FOLDER: str(tmp_path)})
    limited(deadlines)
    place = tmp_path / str(os.getpid())
    place.unlink()
    place.touch()
    limited(deadlines)
    assert "spark_infer: predict may take 200 seconds" in place.read_text()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # its file stays open while it lives
def test_the_file_of_the_process_says_once_what_took_too_long(tmp_path: Path) -> None:
    deadlines = StepDeadlines({FOLDER: str(tmp_path)})
    limited(deadlines)
    limited(deadlines)
    written = stacks_of(tmp_path, os.getpid())
    assert written.count("predict may take 200 seconds") == 1
    assert expired(written) is None
    error = expired(written + "Thread 0x1 (most recent call first):\n")
    assert error is not None
    assert error.next_step.endswith("score.predict_seconds.")
