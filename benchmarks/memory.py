"""The peak memory of a process tree while something runs (Linux)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.cost import tree_cpu_seconds

SAMPLES_PER_SECOND = 5


def peak_bytes(root: int, run: Callable[[], object]) -> int:
    """Run, and return the most that the processes at or below `root` held together.

    It is their PSS (proc(5), smaps_rollup), in which a page that several processes share counts once: of forked
    workers, RSS would count it for each. Sampled five times a second, so a short peak can be missed.
    """
    ended = threading.Event()
    peak = 0

    def sample() -> None:
        nonlocal peak
        while not ended.is_set():
            started = time.perf_counter()
            peak = max(peak, tree_bytes(root))
            ended.wait(max(0.0, 1 / SAMPLES_PER_SECOND - (time.perf_counter() - started)))

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        run()
    finally:
        ended.set()
        sampler.join()
    return peak


def tree_bytes(root: int) -> int:
    """Return the PSS of all living processes at or below `root`."""
    return sum(_pss(pid) for pid in tree_cpu_seconds(root))


def _pss(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError, PermissionError):  # it ended while we looked
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
