"""A command whose workers wait at a gate, so that a test can stop it in the middle."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STEP = """
import os, time
from pathlib import Path

def step(batch):
    while batch.num_rows and batch.column("id")[0].as_py() >= 100 and not Path(os.environ["GATE"]).exists():
        time.sleep(0.02)
    return batch
"""


class Gate:
    """A job whose rows from 100 on are scored only when the gate is open.

    Args:
        folder: Where the job file, the gate and the target lie.
        model: The model.
        source: Eight files of twenty rows.
        arguments: The command and its options; the job file is added.
    """

    def __init__(self, folder: Path, model: str, source: Path, *arguments: str, program: str = "spark_infer.cli.main"):
        self._folder = folder
        self._gate = folder / "open"
        (folder / "gated_step.py").write_text(STEP)
        target = "{path: out, format: delta, mode: append}"
        (folder / "job.yaml").write_text(
            f"model: {model}\nsource: {source}\ntarget: {target}\nunits: {{bytes: 1}}\n"
            "score: {preprocess: 'gated_step:step'}\nspark: {master: 'local[2]'}\n"
        )
        before, after = arguments[:1], arguments[1:]
        self._command = [sys.executable, "-m", program, *before, "job.yaml", *after]

    @contextmanager
    def command(self) -> Iterator[subprocess.Popen[str]]:
        """Start the command in a process group of its own, as a shell does; end it where the test does not."""
        path = os.pathsep.join([str(self._folder), os.environ.get("PYTHONPATH", "")])
        environ = {**os.environ, "GATE": str(self._gate), "PYTHONPATH": path, "XDG_STATE_HOME": str(self._folder)}
        with subprocess.Popen(
            self._command,
            cwd=self._folder,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            # A shell starts what runs in its background with Ctrl-C ignored, and its children inherit that.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        ) as running:
            try:
                yield running
            finally:
                if running.poll() is None:
                    os.killpg(running.pid, signal.SIGKILL)

    def open(self) -> None:
        """Let all rows pass from now on."""
        self._gate.touch()

    def wait_for(self, units: int) -> None:
        """Wait until so many units are done."""
        end = time.monotonic() + 180
        while len([*self._folder.glob(".out.spark_infer/*/units/*.json")]) < units:
            assert time.monotonic() < end, "the command does not get so far"
            time.sleep(0.02)

    def signal(self, running: subprocess.Popen[str], number: signal.Signals) -> None:
        """Send a signal: Ctrl-C goes to all processes of the terminal, SIGTERM to the command alone."""
        if number == signal.SIGINT:
            os.killpg(running.pid, number)
        else:
            running.send_signal(number)

    def left_running(self) -> list[str]:
        """The processes that have the gate in their environment."""
        found = []
        for place in Path("/proc").glob("[0-9]*/environ"):
            try:
                if str(self._gate).encode() in place.read_bytes():
                    found.append(place.parent.name)
            except OSError:  # it ended, or is somebody else's
                continue
        return found
