"""A host as the benchmark sees it: a process to start, to give jobs, and to end."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from benchmarks.cost import tree_cpu_seconds
from benchmarks.workload import Workload

END_SECONDS = 60
JOB_SECONDS = 1800
"""After which a job counts as stuck, and its host is ended."""


class EngineError(Exception):
    """An engine did not finish its job; the text is what its host said."""


class Host:
    """One process, with everything it has started below it.

    Attributes:
        start_seconds: From its start to its first word.
        versions: Of the packages that decide how fast it is.
    """

    def __init__(
        self,
        module: str,
        *,
        python: str,
        log: Path,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        folder: Path | None = None,
    ) -> None:
        started = time.perf_counter()
        log.parent.mkdir(parents=True, exist_ok=True)
        self._log = log
        with log.open("w") as errors:
            self._process = subprocess.Popen(
                [python, "-m", f"benchmarks.hosts.{module}", *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=os.environ | dict(environment),
                cwd=folder,
            )
        self._used_at: dict[str, float] = {}
        ready = self._read()
        self.versions: dict[str, str] = ready["versions"]
        self.start_seconds = time.perf_counter() - started

    @property
    def pid(self) -> int:
        """The process at the root of the host's tree."""
        return self._process.pid

    def run(self, engine: str, workload: Workload, target: Path) -> None:
        """Have one job run.

        Raises:
            EngineError: It failed, or the host has ended.
        """
        request = {"engine": engine, "workload": workload.to_json(), "target": str(target)}
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise EngineError(f"its host has ended; see {self._log}") from None
        with self._ended_when_stuck():
            reply = self._read()
        self._used_at[engine] = time.perf_counter()
        if "error" in reply:
            raise EngineError(reply["error"])

    def idle_seconds(self, engine: str) -> float:
        """Return how long ago the last job of an engine ended here; infinite where it has had none."""
        return time.perf_counter() - self._used_at.get(engine, -math.inf)

    @property
    def is_alive(self) -> bool:
        """Whether it can be given another job."""
        return self._process.poll() is None

    @contextmanager
    def _ended_when_stuck(self) -> Iterator[None]:
        timer = threading.Timer(JOB_SECONDS, self._process.kill)
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def close(self) -> None:
        """End the host, and what it leaves behind."""
        below = [pid for pid in tree_cpu_seconds(self.pid) if pid != self.pid]
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):  # what a host that has ended was not told
            self._process.stdin.close()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        # Ray's workers outlive it for a while, and would take time from the next engine.
        for pid in below:
            if _parent_of(pid) in (1, os.getpid()):
                os.kill(pid, signal.SIGKILL)

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise EngineError(f"its host has ended; see {self._log}")
        message: dict[str, Any] = json.loads(line)
        return message


def _parent_of(pid: int) -> int | None:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return None
