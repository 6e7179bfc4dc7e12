from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from spark_infer.runtime.stop_signals import StopSignals, Terminated, described, exit_code, say_how_far


@pytest.fixture(autouse=True)
def _heard() -> Iterator[None]:
    """Ctrl-C is heard, also where the tests run in the background, whose shell has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    ("number", "code", "said"), [(signal.SIGINT, 130, "stopped by Ctrl-C"), (signal.SIGTERM, 143, "stopped by SIGTERM")]
)
def test_a_signal_stops_what_the_main_thread_does(number: signal.Signals, code: int, said: str) -> None:
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt) as stopped, StopSignals().obeyed():
        os.kill(os.getpid(), number)
    assert isinstance(stopped.value, Terminated) == (number == signal.SIGTERM)
    assert (exit_code(stopped.value), described(stopped.value)) == (code, (said, (), ""))
    say_how_far(stopped.value, "2 of 8 units are done")
    assert described(stopped.value) == (
        said,
        ("2 of 8 units are done",),
        "run the same command again: it goes on from there.",
    )
    assert signal.getsignal(number) is before


def test_a_change_of_several_steps_is_done_before_the_stop() -> None:
    signals, steps = StopSignals(), list[str]()

    def change() -> None:
        with signals.held_back():
            steps.append("first")
            os.kill(os.getpid(), signal.SIGTERM)
            with signals.held_back():
                steps.append("second")
            steps.append("third")
        steps.append("never")

    with pytest.raises(Terminated), signals.obeyed():
        change()
    assert steps == ["first", "second", "third"]
    with signals.held_back():  # the wish does not outlive the block
        pass


def test_a_ctrl_c_that_is_ignored_stays_so() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with StopSignals().obeyed():
            os.kill(os.getpid(), signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


SCRIPT = """
    import sys, time
    from spark_infer.runtime.stop_signals import StopSignals

    signals = StopSignals()
    with signals.obeyed():
        with signals.held_back():
            print("ready", flush=True)
            time.sleep(60)
"""


def test_a_second_signal_ends_the_process_at_once_and_one_that_comes_too_soon_is_the_same() -> None:
    environ = {"PYTHONPATH": str(Path(__file__).parents[3])}
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SCRIPT)],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "ready\n"
        for _ in range(2):
            running.send_signal(signal.SIGTERM)
            time.sleep(0.1)  # two that wait at the same time are one
        with pytest.raises(subprocess.TimeoutExpired):
            running.wait(0.6)
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=10)
    assert (running.returncode, err) == (130, "ended at once\n")
