"""A child process ends with the one that started it, whatever it is doing."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from spark_infer.runtime.child_process import Child

ROOT = Path(__file__).parents[3]
LOCKED = """
import ctypes, os, pickle
from spark_infer.runtime.child_process import answer, messages, own_pipes, read, write
receive, send = own_pipes()
received = messages(receive)
while (message := received.get()) is not None:
    write(send, answer(True, os.getpid()))
    if pickle.loads(message):
        ctypes.PyDLL(None).sleep(60)  # holds Python's lock
"""
DRIVER = """
import pickle, sys
from spark_infer.runtime.child_process import Child
child = Child("locked_of_test", own_group=True)
print(child.ask(pickle.dumps(True)), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def lib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "locked_of_test.py").write_text(LOCKED)
    (tmp_path / "driver_of_test.py").write_text(DRIVER)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def is_running(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's signal is Linux's")
def test_a_child_that_holds_pythons_lock_ends_with_a_parent_that_is_killed(lib: Path) -> None:
    environ = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{lib}"}
    command = [sys.executable, str(lib / "driver_of_test.py")]
    driver = subprocess.Popen(command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert driver.stdin is not None
    assert driver.stdout is not None
    child = int(driver.stdout.readline())
    try:
        time.sleep(0.2)
        assert is_running(child)
        driver.kill()
        driver.wait()
        end = time.monotonic() + 5
        while is_running(child) and time.monotonic() < end:
            time.sleep(0.02)
        assert not is_running(child)
    finally:
        driver.stdin.close()
        driver.stdout.close()
        if is_running(child):
            os.kill(child, signal.SIGKILL)


def test_a_child_outlives_the_thread_that_started_it(lib: Path) -> None:
    made: list[Child] = []

    def start() -> None:
        made.append(Child("locked_of_test"))
        made[0].ask(pickle.dumps(False))  # it has told the kernel by now, if it tells it

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    (child,) = made
    try:
        assert child.ask(pickle.dumps(False)) == child.pid
        assert child.ask(pickle.dumps(False)) == child.pid
    finally:
        child.close()
