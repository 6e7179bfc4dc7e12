"""Which process of which machine: written down by one process, so that another can see whether it is still there."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_ENDED = ("Z", "X")
"""States of a process that is dead and was not waited for; proc_pid_stat(5)."""


@dataclass(frozen=True, kw_only=True)
class ProcessIdentity:
    """A process.

    Attributes:
        host: The name of its machine, for people.
        pid: Its number there.
        machine: What only processes that see the same numbers have in common: one boot, one namespace of processes;
            empty where this system does not say.
        born: When it started, in ticks since the boot: a number that was given again is another process.
    """

    host: str
    pid: int
    machine: str = ""
    born: str = ""

    @classmethod
    def own(cls) -> ProcessIdentity:
        """This process."""
        return cls.of(os.getpid())

    @classmethod
    def of(cls, pid: int) -> ProcessIdentity:
        """A process of this machine."""
        return cls(host=socket.gethostname(), pid=pid, machine=_machine(), born=_born(pid) or "")

    def is_gone(self) -> bool:
        """Whether the process is known to have ended; False for one of another machine."""
        return bool(self.machine) and self.machine == _machine() and _born(self.pid) != self.born

    def is_here(self) -> bool:
        """Whether the process is known to run on this machine."""
        return bool(self.machine) and self.machine == _machine() and _born(self.pid) == self.born


def _machine() -> str:
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink(_PROC / 'self/ns/pid')}"
    except OSError:  # not Linux
        return ""


def _born(pid: int) -> str | None:
    """When a process started; None where it has ended."""
    try:
        # The name of the program comes second, in brackets, and may hold anything.
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except (OSError, UnicodeDecodeError):
        return None
    return None if fields[0] in _ENDED else fields[19]
