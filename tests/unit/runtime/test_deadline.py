"""A step's deadline ends a worker, and no process that is not one."""

from __future__ import annotations

import faulthandler
import os
from pathlib import Path

import pytest

from spark_infer.runtime.deadline import FOLDER, StepDeadlines, expired, stacks_of

TIMER = "PYTHON_TRACEBACK_DUMP_INTERVAL_SECONDS"


@pytest.fixture
def armed(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds of the deadlines that hold; 0.0 where one was taken away."""
    found: list[float] = []
    monkeypatch.setattr(faulthandler, "dump_traceback_later", lambda seconds, **_: found.append(seconds))
    monkeypatch.setattr(faulthandler, "cancel_dump_traceback_later", lambda: found.append(0.0))
    return found


def limited(deadlines: StepDeadlines, seconds: float | None = 2.0) -> None:
    with deadlines.limit("predict", seconds):
        pass


def test_only_a_worker_is_ended_and_only_while_its_step_runs(armed: list[float]) -> None:
    deadlines = StepDeadlines({})
    limited(deadlines)
    assert armed == []
    deadlines.may_end()
    limited(deadlines)
    assert armed == [2.0, 0.0]
    limited(deadlines, None)
    assert armed == [2.0, 0.0]


def test_a_timer_that_spark_uses_stays_its_own(armed: list[float]) -> None:
    deadlines = StepDeadlines({TIMER: "10"})
    deadlines.may_end()
    limited(deadlines)
    assert armed == []


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # its file stays open while it lives
def test_the_file_of_the_process_says_once_what_took_too_long(armed: list[float], tmp_path: Path) -> None:
    deadlines = StepDeadlines({FOLDER: str(tmp_path)})
    limited(deadlines)
    limited(deadlines)
    written = stacks_of(tmp_path, os.getpid())
    assert written.count("predict may take 2 seconds") == 1
    assert expired(written) is None
    error = expired(written + "Timeout (0:00:02)!\nThread 0x1 (most recent call first):\n")
    assert error is not None
    assert error.next_step.endswith("score.predict_seconds.")
