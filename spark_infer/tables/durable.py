"""What a run asks of a disk beyond reading and writing: files that appear once, stay, and change places at once."""

from __future__ import annotations

import ctypes
import errno
import functools
import itertools
import os
import posixpath
import re
import sys
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pyarrow import fs

from spark_infer.runtime.private_files import private
from spark_infer.tables.storage import Storage

_HERE = -100
_EXCHANGE = 2
_CANNOT = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EPERM)


class Disk(Protocol):
    """A file system, as far as kills and power cuts are concerned; paths are as the file system names them."""

    def create(self, path: str, content: bytes, *, mode: int = 0o600) -> bool:
        """Make a file with all of its content in a folder that is there, or leave the one that is there.

        Args:
            path: The file.
            content: Its content.
            mode: Who may read it, whatever the umask, where the disk knows users.

        Returns:
            Whether this call made it.
        """

    def renew(self, path: str, content: bytes) -> None:
        """Give a file that is there, with this content, the time of now."""

    def make_folder(self, path: str) -> None:
        """Make a folder and those that it lies in, so that they stay."""

    def keep(self, root: str, paths: Iterable[str]) -> None:
        """Have files below a folder, and the folders that name them, stay."""

    def exchange(self, first: str, second: str) -> bool:
        """Exchange the names of two folders in one step; False where that is impossible, and nothing has changed."""

    def remove_empty(self, folder: str) -> None:
        """Remove a folder that holds nothing.

        Raises:
            OSError: It holds something, perhaps since a moment ago; that stays as it is.
        """

    def stands_alone(self, folder: str) -> bool:
        """Whether nothing beside a folder can be written and then renamed into it."""

    def link_in(self, root: str, paths: Iterable[str]) -> str | None:
        """The first symbolic link on the way from a folder, itself included, to files below it; None without any."""


def disk_of(folder: Storage) -> Disk:
    """Return what a folder's file system can do; one of a test brings its own."""
    own: Disk | None = getattr(folder.files, "disk", None)
    if own is not None:
        return own
    return LocalDisk() if folder.scheme == "file" else FarDisk(folder.files, moves_once=folder.renames_atomically)


class LocalDisk:
    """A disk of this machine, or one that it mounts."""

    def create(self, path: str, content: bytes, *, mode: int = 0o600) -> bool:
        """Write it under another name first, then link: the name appears with all of the content, and once."""
        place = Path(path)
        spare = place.with_name(f".{place.name}.{uuid.uuid4().hex}")
        try:
            with open(spare, "xb", opener=private) as file:
                if mode != 0o600:
                    os.fchmod(file.fileno(), mode)
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.link(spare, place)
        except FileExistsError:
            return False
        finally:
            spare.unlink(missing_ok=True)
        sync(place.parent)
        return True

    def renew(self, path: str, content: bytes) -> None:
        """Ask the kernel, which lets the content be."""
        os.utime(path)

    def make_folder(self, path: str) -> None:
        """Make what is missing, and have the folder that each lies in stored."""
        place = Path(path)
        missing = [each for each in (place, *place.parents) if not each.exists()]
        place.mkdir(parents=True, exist_ok=True)
        for each in missing:
            sync(each.parent)

    def keep(self, root: str, paths: Iterable[str]) -> None:
        """Store files, then their folders up to the root and the one that it lies in."""
        top, folders = Path(root), {Path(root), Path(root).parent}
        for path in paths:
            place = top / path
            sync(place)
            folders.update(each for each in place.parents if top in each.parents)
        for folder in sorted(folders):
            sync(folder)

    def exchange(self, first: str, second: str) -> bool:
        """Ask the kernel."""
        return exchange(first, second)

    def remove_empty(self, folder: str) -> None:
        """Ask the kernel, which looks and removes in one step."""
        os.rmdir(folder)

    def stands_alone(self, folder: str) -> bool:
        """A mount point does, and a folder whose parent cannot be written to."""
        return is_mount(folder) or not os.access(os.path.dirname(folder), os.W_OK)

    def link_in(self, root: str, paths: Iterable[str]) -> str | None:
        """Look at each folder and file once."""
        below = (itertools.accumulate([root, *path.split("/")], posixpath.join) for path in paths)
        return next(filter(os.path.islink, dict.fromkeys(itertools.chain([root], *below))), None)


def is_mount(folder: str) -> bool:
    """Whether a folder is a mount point, also one of the file system that it lies in, as containers' volumes can be."""
    if os.path.ismount(folder):
        return True
    try:
        mounts = Path("/proc/self/mountinfo").read_bytes().splitlines()
    except OSError:  # not Linux
        return False
    return os.fsencode(os.path.realpath(folder)) in map(mount_point, mounts)


def mount_point(line: bytes) -> bytes:
    """The place that a line of ``/proc/self/mountinfo`` tells of; blanks and backslashes stand there as octal numbers.

    Source: proc_pid_mountinfo(5), https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html
    """
    return re.sub(rb"\\([0-7]{3})", lambda code: bytes([int(code[1], 8)]), line.split()[4])


@dataclass(frozen=True)
class FarDisk:
    """HDFS or an object store, which store what is closed.

    Attributes:
        files: The pyarrow file system.
        moves_once: Whether a file moves in one step and never onto another, as on HDFS.
    """

    files: Any
    moves_once: bool

    def create(self, path: str, content: bytes, *, mode: int = 0o600) -> bool:
        """On HDFS move it to its name. On an object store look first and write then.

        There two callers at the same moment may both believe that they made it, and the later content stays.
        """
        if self._is_there(path):
            return False
        if not self.moves_once:
            self._write(path, content)
            return True
        spare = f"{path}.{uuid.uuid4().hex}"
        self._write(spare, content)
        try:
            self.files.move(spare, path)
        except OSError:
            self.files.delete_file(spare)
            if self._is_there(path):
                return False
            raise
        return True

    def renew(self, path: str, content: bytes) -> None:
        """Write it again."""
        self._write(path, content)

    def make_folder(self, path: str) -> None:
        """Make it."""
        self.files.create_dir(path)

    def keep(self, root: str, paths: Iterable[str]) -> None:
        """It is kept."""

    def exchange(self, first: str, second: str) -> bool:
        """It cannot."""
        return False

    def remove_empty(self, folder: str) -> None:
        """Move it out of the way first, and back if it holds something: to remove a folder takes all that it holds."""
        aside = posixpath.join(posixpath.dirname(folder), f".{posixpath.basename(folder)}.{uuid.uuid4().hex}")
        self.files.move(folder, aside)
        if self.files.get_file_info(fs.FileSelector(aside)):
            self.files.move(aside, folder)
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), folder)
        self.files.delete_dir(aside)

    def stands_alone(self, folder: str) -> bool:
        """None does."""
        return False

    def link_in(self, root: str, paths: Iterable[str]) -> str | None:
        """There are none."""
        return None

    def _is_there(self, path: str) -> bool:
        return bool(self.files.get_file_info(path).is_file)

    def _write(self, path: str, content: bytes) -> None:
        with self.files.open_output_stream(path) as stream:
            stream.write(content)


def sync(place: str | Path) -> None:
    """Have the disk keep a file, or the names in a folder."""
    handle = os.open(place, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def exchange(first: str, second: str) -> bool:
    """Exchange the names of two folders of a local disk, so that there is no moment without either.

    Source: renameat2(2) with RENAME_EXCHANGE, Linux 3.15 and glibc 2.28.

    Returns:
        Whether it was done; False where this system or this disk cannot, and then nothing has changed.
    """
    call = _renameat2()
    if call is None:
        return False
    if call(_HERE, os.fsencode(first), _HERE, os.fsencode(second), _EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in _CANNOT:
        return False
    raise OSError(code, os.strerror(code), first)


@functools.cache
def _renameat2() -> Callable[..., int] | None:
    if not sys.platform.startswith("linux"):
        return None
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is not None:
        call.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint]
    return call
