"""The Python workers of this process's session."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path


def python_workers() -> set[int]:
    """The workers that the daemon of this session has forked."""
    parents = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                name, rest = (folder / "stat").read_text().partition("(")[2].rpartition(")")[::2]
            except OSError:  # ended since
                continue
            parents[int(folder.name)] = (name, int(rest.split()[1]))
    java = {pid for pid, (name, parent) in parents.items() if name == "java" and parent == os.getpid()}
    daemons = {pid for pid, (_, parent) in parents.items() if parent in java}
    return {pid for pid, (_, parent) in parents.items() if parent in daemons}


def end_python_workers() -> None:
    """Have those that idle end, as Spark does after a minute."""
    workers = python_workers()
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    while any(Path(f"/proc/{pid}").exists() for pid in workers):  # Spark would give a task to one that has just ended
        time.sleep(0.05)
