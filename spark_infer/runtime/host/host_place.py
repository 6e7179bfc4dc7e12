"""Where the files of model hosts are: a folder for each executor, which is its user's alone."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from spark_infer.runtime.host.private_socket import private_folder
from spark_infer.runtime.process_identity import ProcessIdentity

_SOCKET = ".sock"
_STATUS_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True)
class HostPlace:
    """The files of one host.

    Attributes:
        folder: The folder of its executor.
        name: Stands for the device and the key of the model.
    """

    folder: Path
    name: str

    @classmethod
    def of(cls, executor: ProcessIdentity, device: str, key: Iterable[str]) -> HostPlace:
        """Return the place of a model on a device of an executor, and make its folder.

        Raises:
            RunError: Somebody else has made the folder, or may enter it.
        """
        base = folder_of_hosts()
        machine = _digest(executor.machine)
        _remove_left_behind(base, machine, executor.machine)
        folder = private_folder(base / f"host-{machine}-{executor.pid}-{executor.born}")
        return cls(folder=folder, name=f"{_digest(device)}-{_digest(*key)}")

    @classmethod
    def of_socket(cls, path: Path) -> HostPlace:
        """Return the place whose socket has a path."""
        return cls(folder=path.parent, name=path.name.removesuffix(_SOCKET))

    @property
    def socket(self) -> Path:
        """Where the host listens."""
        return self.folder / f"{self.name}{_SOCKET}"

    @property
    def lock(self) -> Path:
        """The file that is locked while the host starts or ends."""
        return self.folder / f"{self.name}.lock"

    @property
    def log(self) -> Path:
        """What the host writes on its standard output and error."""
        return self.folder / f"{self.name}.log"

    def others(self) -> list[Path]:
        """Return the sockets of the other hosts on the device."""
        device = self.name.partition("-")[0]
        return sorted(each for each in self.folder.glob(f"{device}-*{_SOCKET}") if each != self.socket)

    def note_end(self, pid: int, status: int) -> None:
        """Note with which status a host ended; one that ended well leaves nothing behind."""
        if status:
            (self.folder / f"{pid}.status").write_text(str(status))
        else:
            self.log.unlink(missing_ok=True)
            (self.folder / str(pid)).unlink(missing_ok=True)

    def end_of(self, pid: int) -> int | None:
        """Return with which status a host ended that is gone; None where nobody has noted it."""
        note, end = self.folder / f"{pid}.status", time.monotonic() + _STATUS_SECONDS
        while time.monotonic() < end:
            with suppress(OSError, ValueError):
                return int(note.read_text())
            time.sleep(0.02)
        return None


def folder_of_hosts() -> Path:
    """Return the folder of all hosts of this user on this machine, made where it is missing.

    Raises:
        RunError: Somebody else has made it, or may enter it.
    """
    return private_folder(Path(tempfile.gettempdir()) / f"spark_infer-{os.geteuid()}")


def _remove_left_behind(base: Path, machine: str, full_machine: str) -> None:
    """Remove the folders of executors that are gone, with which their watchers are gone too."""
    for folder in base.glob(f"host-{machine}-*-*"):
        pid, born = folder.name.split("-")[2:]
        if ProcessIdentity(host="", pid=int(pid), machine=full_machine, born=born).is_gone():
            shutil.rmtree(folder, ignore_errors=True)


def _digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]
