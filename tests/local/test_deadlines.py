"""Nothing hangs for ever, and the error says what did, and where it stood."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from spark_infer.errors import DeadlineError
from tests.local.conftest import children
from tests.local.jobs import job, run, write_in
from tests.sleepy import planning_that_hangs, save_sleepy


@pytest.fixture(scope="session")
def sleepy(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_sleepy(tmp_path_factory.mktemp("sleepy") / "model")


@pytest.mark.parametrize("value", [900.0, 901.0])
def test_a_predict_call_that_hangs_is_stopped_and_its_stack_is_told(sleepy: str, tmp_path: Path, value: float) -> None:
    source = write_in(tmp_path, [value])
    begin = time.monotonic()
    with pytest.raises(DeadlineError, match=r"`predict` took longer than 2 seconds") as stopped:
        run(sleepy, source, {"path": str(tmp_path / "out")}, score={"predict_seconds": 2.0})
    assert time.monotonic() - begin < 30
    assert "sleep_for_ever" in str(stopped.value)
    assert not [line for line in stopped.value.details if "threading.py" in line]  # only the thread that predicts
    assert "score.predict_seconds" in stopped.value.next_step
    assert not (tmp_path / "out").exists()
    assert not children()


@pytest.mark.parametrize("does", ["run", "plan"])
def test_planning_that_takes_too_long_is_stopped(sleepy: str, tmp_path: Path, does: str) -> None:
    source, target = write_in(tmp_path, [1.0]), {"path": str(tmp_path / "out")}
    begin = time.monotonic()
    with planning_that_hangs(tmp_path) as step:
        hanging = job(sleepy, source, target, deadline_seconds=1, score={"preprocess": step})
        with pytest.raises(DeadlineError, match="The job took longer than 1 seconds while it was planned"):
            getattr(hanging, does)()
    assert time.monotonic() - begin < 20
    assert not (tmp_path / "out").exists()


def test_a_job_that_takes_too_long_is_stopped(sleepy: str, tmp_path: Path) -> None:
    source = write_in(tmp_path, [900.0])
    with pytest.raises(DeadlineError, match="The job took longer than 3 seconds, and was stopped"):
        run(sleepy, source, {"path": str(tmp_path / "out")}, deadline_seconds=3)
    assert not children()
