"""Which process is the executor of this worker: all of its workers descend from it, and none outlives it for long."""

from __future__ import annotations

import os
from pathlib import Path

from spark_infer.runtime.process_identity import ProcessIdentity

_PROC = Path("/proc")
_JAVA = "java"
_MOST_ANCESTORS = 5
"""Spark forks workers from a daemon that the executor's Java process started; a wrapper may stand in between."""


def java_ancestor() -> ProcessIdentity | None:
    """Return the Java process that started this one, directly or by others; None where there is none in sight."""
    pid = os.getppid()
    for _ in range(_MOST_ANCESTORS):
        try:
            stat = (_PROC / str(pid) / "stat").read_text()
        except (OSError, UnicodeDecodeError):  # not Linux, or hidden
            return None
        # The name of the program comes second, in brackets, and may hold anything; the parent is the second after it.
        name, rest = stat.partition("(")[2].rpartition(")")[::2]
        if name == _JAVA:
            return ProcessIdentity.of(pid)
        pid = int(rest.split()[1])
    return None
