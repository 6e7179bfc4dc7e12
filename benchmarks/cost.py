"""What a run cost: wall seconds, CPU-seconds of a process and all below it, CPU-seconds of others (Linux)."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, kw_only=True)
class Cost:
    """The cost of one run.

    Attributes:
        seconds: Wall time.
        cpu_seconds: User and system time of the whole process tree: driver, JVM, Python workers.
        other_cpu_seconds: What everyone else on the machine used meanwhile; the measure of noise.
    """

    seconds: float
    cpu_seconds: float
    other_cpu_seconds: float


def measure(run: Callable[[], object], root: int | None = None) -> Cost:
    """Run and return what it cost the processes at or below `root`, or this one and those below."""
    root = os.getpid() if root is None else root
    tree, machine, start = tree_cpu_seconds(root), _machine_cpu_seconds(), time.perf_counter()
    run()
    seconds = time.perf_counter() - start
    machine_used = _machine_cpu_seconds() - machine
    # Per process: one that ended must not take the time it used in earlier runs away from this one.
    used = sum(now - tree.get(pid, 0.0) for pid, now in tree_cpu_seconds(root).items())
    return Cost(seconds=seconds, cpu_seconds=used, other_cpu_seconds=max(0.0, machine_used - used))


def tree_cpu_seconds(root: int) -> dict[int, float]:
    """Return the CPU-seconds of each living process at or below `root`, with those of its ended children."""
    parents: dict[int, int] = {}
    seconds: dict[int, float] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            # Fields after the name, which may itself hold spaces and brackets (proc(5)).
            fields = path.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):  # it ended while we looked
            continue
        pid = int(path.parent.name)
        parents[pid] = int(fields[1])
        seconds[pid] = sum(map(int, fields[11:15])) / TICKS_PER_SECOND
    return {pid: used for pid, used in seconds.items() if _is_below(pid, root, parents)}


def _is_below(pid: int, root: int, parents: dict[int, int]) -> bool:
    while pid in parents and pid != root:
        pid = parents[pid]
    return pid == root


def _machine_cpu_seconds() -> float:
    """Return the busy time of all CPUs since boot, with what a hypervisor took away (proc(5), `steal`)."""
    user, nice, system, _idle, _iowait, irq, softirq, steal, *_ = map(
        int, Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    )
    return (user + nice + system + irq + softirq + steal) / TICKS_PER_SECOND
