"""A Unix socket that only processes of this user reach: a folder of mode 0700, and the kernel's word for who is there.

Messages are small and of fixed form; what they are about lies in shared memory, whose descriptor goes with them
(SCM_RIGHTS, unix(7)). Never TCP: there everybody on the machine could connect.
"""

from __future__ import annotations

import os
import socket
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from spark_infer.errors import RunError

_PEER = struct.Struct("3i")
_BACKLOG = 1024


def private_folder(folder: Path) -> Path:
    """Return a folder that is this user's alone, made where it is missing.

    Raises:
        RunError: It belongs to somebody else, is a link, or others may enter it.
    """
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise RunError(
            f"The folder {folder} is not this user's alone, and the socket of a model host would lie there.",
            details=[f"user {found.st_uid}, mode {stat.filemode(found.st_mode)}; needed: {os.geteuid()}, drwx------"],
            next_step="remove it, or set TMPDIR of the workers to a folder that others cannot write to; "
            "hosting: worker does without.",
        )
    return folder


def listen(path: Path) -> socket.socket:
    """Listen at a path, whose folder is private; what lies there from before is removed."""
    path.unlink(missing_ok=True)
    listener = _new_socket()
    with _short(path) as place:
        listener.bind(place)
    listener.listen(_BACKLOG)
    return listener


def connect(path: Path) -> socket.socket | None:
    """Connect to the process that listens at a path; None where none does.

    Raises:
        PermissionError: It is another user's.
    """
    connection = _new_socket()
    try:
        with _short(path) as place:
            connection.connect(place)
        require_own_user(connection)
    except (FileNotFoundError, ConnectionRefusedError):
        connection.close()
        return None
    except BaseException:
        connection.close()
        raise
    return connection


def accept(listener: socket.socket) -> socket.socket | None:
    """Accept a connection; None where it is gone again or another user's."""
    try:
        connection, _ = listener.accept()
    except OSError:
        return None
    try:
        require_own_user(connection)
    except PermissionError:
        connection.close()
        return None
    return connection


def require_own_user(connection: socket.socket) -> None:
    """See that the other side is a process of this user.

    Raises:
        PermissionError: It is not.
    """
    if peer_of(connection)[1] != os.geteuid():
        raise PermissionError("a process of another user is at the other side of the socket")


def peer_of(connection: socket.socket) -> tuple[int, int]:
    """Return process and user of the other side, as the kernel has them (SO_PEERCRED)."""
    found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
    pid, user, _group = _PEER.unpack(found)
    return pid, user


def send(connection: socket.socket, message: bytes, file: int | None = None) -> None:
    """Send a message, and a descriptor with it.

    Raises:
        OSError: The other side is gone.
    """
    socket.send_fds(connection, [message], [] if file is None else [file])


def receive(connection: socket.socket, size: int) -> tuple[bytes, int | None]:
    """Return the next message of a size, and the descriptor that came with it, which does not outlive an `exec`.

    Raises:
        EOFError: The other side is gone, or sent something else.
    """
    try:
        message, files, _, _ = socket.recv_fds(connection, size + 1, 1)
    except ConnectionError:
        raise EOFError from None
    if len(message) != size:
        for file in files:
            os.close(file)
        raise EOFError
    for file in files:
        os.set_inheritable(file, False)  # Python 3.11 leaves flags of `recv_fds` out
    return message, files[0] if files else None


def _new_socket() -> socket.socket:
    return socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)


@contextmanager
def _short(path: Path) -> Iterator[str]:
    """The name of a path in a form of few letters: an address of a socket has 108 at most."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
