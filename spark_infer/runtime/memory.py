"""A worker's memory: that of one batch is kept for the next, tensors lie in large pages, and a model may be bounded.

glibc hands large blocks back to the kernel as soon as they are freed and faults their pages in again for every batch:
measured with a scaler and a logistic regression on 30 columns, that took three quarters of the time of `predict`.
Both are left alone by a job with `accelerate: off`.
Source: mallopt(3), https://man7.org/linux/man-pages/man3/mallopt.3.html
"""

from __future__ import annotations

import ctypes
import os
import re
import sys
from contextlib import suppress
from pathlib import Path

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEPT_BYTES = 128 * 2**20
_BLOCK_BYTES = 32 * 2**20
"""The largest threshold that glibc takes on 64 bits; larger blocks still come from the kernel."""
_STATUS = Path("/proc/self/status")
_CGROUPS = (
    (Path("/sys/fs/cgroup"), "memory.max", "memory.current"),
    (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes", "memory.usage_in_bytes"),
)
"""Where a container's limit stands, of cgroups of version 2 and 1."""


def keep_freed_memory() -> bool:
    """Have this process keep up to 128 MiB that it freed, on Linux with glibc. Says whether it does."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # another C library
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _BLOCK_BYTES) and mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES))


def large_pages() -> None:
    """Have PyTorch, where it is not loaded yet, ask for pages of 2 MiB for its tensors on the CPU.

    glibc does not find an aligned block again that is just as large as the one before, so the tensors between two
    layers lie in new pages each time: a network with layers of 512 units spent a quarter of its time on page faults.
    Where the kernel has no such pages to give, nothing changes.
    Source: https://github.com/pytorch/pytorch/pull/107697
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")


def limit_memory(more_bytes: int | None) -> None:
    """Bound what this process may take beyond what it has, and have the kernel end it before any other process.

    What goes beyond is a MemoryError here, and no matter of the node. Where the platform has no such limit, there is
    none. A lower one that the process came with, such as that of `spark.executor.pyspark.memory`, stays.

    Args:
        more_bytes: How much; None for half of what is free on this machine, or in the container around this process.
    """
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    used = _first_number(_STATUS, r"^VmData:\s+(\d+) kB", 1024)
    more = (free_memory_bytes() or 0) // 2 if more_bytes is None else more_bytes
    if used is None or not more:
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = min(used + more, *(each for each in (soft, hard) if each != resource.RLIM_INFINITY), sys.maxsize)
    resource.setrlimit(resource.RLIMIT_DATA, (wanted, hard))


def free_memory_bytes() -> int | None:
    """Return what is free on this machine, or in the container around this process; None where that is not known."""
    free = [_first_number(Path("/proc/meminfo"), r"^MemAvailable:\s+(\d+) kB", 1024)]
    for folder, most, now in _CGROUPS:
        limit, used = _first_number(folder / most, r"^(\d+)$"), _first_number(folder / now, r"^(\d+)$")
        cached = _first_number(folder / "memory.stat", r"^(?:total_)?inactive_file (\d+)$") or 0
        free.append(None if limit is None or used is None else max(0, limit - max(0, used - cached)))
    return min((each for each in free if each is not None), default=None)


def whole_memory_bytes() -> int | None:
    """Return the memory of this machine, or the limit of the container around this process; None if not known."""
    found = [_first_number(Path("/proc/meminfo"), r"^MemTotal:\s+(\d+) kB", 1024)]
    found += [_first_number(folder / most, r"^(\d+)$") for folder, most, _ in _CGROUPS]
    return min((each for each in found if each is not None), default=None)


def _first_number(file: Path, pattern: str, unit: int = 1) -> int | None:
    try:
        found = re.search(pattern, file.read_text(encoding="ascii"), re.MULTILINE)
    except (OSError, ValueError):
        return None
    return None if found is None else int(found[1]) * unit
