"""Workers that are forked from a process that has imported what they need."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spark_infer.runtime import fork_server as module
from spark_infer.runtime.child_process import Child
from spark_infer.runtime.fork_server import ForkServer, fork_server, start_fork_server
from spark_infer.runtime.process_state import this_process
from tests.unit.runtime.test_end_with_parent import ROOT, is_running

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux alone")

WORKER = """
import os, pickle, sys
IMPORTED_BY = os.getpid()
def main():
    from spark_infer.runtime.child_process import answer, messages, own_pipes, write
    receive, send = own_pipes()
    received = messages(receive)
    while (message := received.get()) is not None:
        write(send, answer(True, eval(pickle.loads(message))))
"""
DRIVER = """
import pickle, sys
from spark_infer.runtime.child_process import Child
from spark_infer.runtime.fork_server import fork_server, start_fork_server
start_fork_server(1, ["forked_of_test"])
child = Child("forked_of_test", own_group=True, server=fork_server())
print(child.ask(pickle.dumps("os.getpid()")), child.ask(pickle.dumps("IMPORTED_BY")), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ForkServer]:
    (tmp_path / "forked_of_test.py").write_text(WORKER)
    (tmp_path / "threads_of_test.py").write_text(
        "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    server = ForkServer(frozenset(), 1)
    server.imports(["forked_of_test", "missing_of_test", "numpy"])
    yield server
    server.close()


def worker(server: ForkServer, **how: Any) -> Child:
    return Child("forked_of_test", own_group=True, server=server, **how)


def ask(child: Child, text: str) -> Any:
    return child.ask(pickle.dumps(text))


def ended(child: Child) -> int:
    status = child.status()
    child.close()
    return status


def test_a_worker_has_what_a_new_process_would_have_and_imports_nothing(
    server: ForkServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OF_TEST", "later")
    monkeypatch.chdir(tmp_path)
    child = worker(server, environ={"OF_WORKER": "1"})
    assert ask(child, "os.getpid()") == child.pid
    assert ask(child, "IMPORTED_BY") not in (child.pid, os.getpid())
    assert ask(child, "os.environ['OF_TEST'], os.environ['OF_WORKER'], os.getcwd()") == ("later", "1", str(tmp_path))
    assert ask(child, "os.getsid(0)") == child.pid
    assert ask(child, "str(sys.path[0])") == str(tmp_path)
    child.close()
    assert child.status() == 0


def test_workers_draw_other_numbers(server: ForkServer) -> None:
    children = [worker(server) for _ in range(2)]
    drawn = [ask(child, "sys.modules['numpy'].random.rand(), __import__('random').random()") for child in children]
    assert drawn[0][0] != drawn[1][0]
    assert drawn[0][1] != drawn[1][1]
    for child in children:
        child.close()


def test_what_a_worker_prints_goes_to_the_log(server: ForkServer) -> None:
    lines: list[str] = []
    child = worker(server, log=lines.append)
    ask(child, "print('out') or print('error', file=sys.stderr) or sys.stdout.flush()")
    child.close()
    assert sorted(lines) == ["error", "out"]


def test_how_a_worker_ended_is_known(server: ForkServer) -> None:
    child = worker(server)
    with pytest.raises(EOFError):
        ask(child, "os.kill(os.getpid(), 11)")
    assert ended(child) == -signal.SIGSEGV
    child = worker(server)
    with pytest.raises(EOFError):
        ask(child, "os._exit(7)")
    assert ended(child) == 7
    child = worker(server)
    child.kill()
    assert ended(child) == -signal.SIGKILL
    child.kill()  # somebody else may have its number by then


def test_workers_end_with_their_server_and_the_next_one_is_no_fork(server: ForkServer) -> None:
    child = worker(server)
    assert ask(child, "1") == 1
    server.close()
    with pytest.raises(EOFError):
        ask(child, "1")
    assert ended(child) == -signal.SIGKILL
    assert server.start("forked_of_test", {}, errors=False) is None


def test_a_server_that_was_interrupted_is_not_asked_again(server: ForkServer, tmp_path: Path) -> None:
    (tmp_path / "slow_of_test.py").write_text("import time\ntime.sleep(5)\n")
    server.imports(["slow_of_test"])

    def stop(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, stop)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(KeyboardInterrupt):
            server.start("forked_of_test", {}, errors=True)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert server.start("forked_of_test", {}, errors=True) is None


def test_a_server_whose_libraries_started_threads_forks_nothing(server: ForkServer) -> None:
    server.imports(["threads_of_test"])
    assert server.start("forked_of_test", {}, errors=True) is None
    # The worker is then a process like any other, which imports by itself: its module has no main block.
    child = Child("spark_infer.engines.local.process", own_group=True, server=server)
    child.close()
    assert child.status() == 0


def test_a_server_and_its_workers_end_with_a_process_that_is_killed(server: ForkServer, tmp_path: Path) -> None:
    (tmp_path / "driver.py").write_text(DRIVER)
    environ = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"}
    command = [sys.executable, str(tmp_path / "driver.py")]
    with subprocess.Popen(command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as driver:
        assert driver.stdout is not None
        pids = [int(pid) for pid in driver.stdout.readline().split()]
        assert all(map(is_running, pids))
        driver.kill()
    end = time.monotonic() + 10
    while any(map(is_running, pids)) and time.monotonic() < end:
        time.sleep(0.02)
    assert not any(map(is_running, pids))


def test_one_server_serves_all_jobs_until_the_environment_changes_or_nobody_wants_it(
    server: ForkServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(this_process(), "fork_server", None)
    monkeypatch.setattr(module, "_IDLE_SECONDS", 0.1)
    try:
        start_fork_server(1, ["json"])
        first = fork_server()
        assert first is not None
        with first.used():
            start_fork_server(1, ["json"])
            assert fork_server() is first
            time.sleep(0.3)
            assert fork_server() is first
            monkeypatch.setenv("OF_TEST", "other")
            start_fork_server(1, ["json"])
            second = fork_server()
            assert second not in (first, None)
            child = worker(first)  # whoever uses it still does
            assert ask(child, "1") == 1
            child.close()
        end = time.monotonic() + 10
        while fork_server() is not None and time.monotonic() < end:
            time.sleep(0.02)
        assert fork_server() is None
    finally:
        if (left := this_process().fork_server) is not None:
            left.close()


def test_jobs_that_begin_at_once_share_a_server(server: ForkServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(this_process(), "fork_server", None)
    made: list[ForkServer] = []

    class Counted(ForkServer):
        def __init__(self, *given: Any) -> None:
            time.sleep(0.05)  # others begin meanwhile
            super().__init__(*given)
            made.append(self)

    monkeypatch.setattr(module, "ForkServer", Counted)
    threads = [threading.Thread(target=start_fork_server, args=(1, ["json"])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for each in made:
        each.close()
    assert len(made) == 1
