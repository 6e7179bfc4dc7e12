"""Only processes of the same user reach the socket of a model host."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import pytest

from spark_infer.errors import RunError
from spark_infer.runtime.host.private_socket import accept, connect, listen, peer_of, private_folder, receive, send
from tests.second_user import NOBODY, UMASKS, as_nobody, needs_root, open_for_all, umask


@pytest.mark.parametrize("mask", UMASKS)
def test_the_folder_is_its_user_s_alone_whatever_the_umask(tmp_path: Path, mask: int) -> None:
    with umask(mask):
        folder = private_folder(tmp_path / "hosts")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert private_folder(folder) == folder


@pytest.mark.parametrize("mode", [0o701, 0o750, 0o777])
def test_a_folder_that_others_may_enter_is_refused(tmp_path: Path, mode: int) -> None:
    (tmp_path / "hosts").mkdir()
    (tmp_path / "hosts").chmod(mode)
    with pytest.raises(RunError, match="is not this user's alone"):
        private_folder(tmp_path / "hosts")


def test_a_link_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "hosts").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunError, match="is not this user's alone"):
        private_folder(tmp_path / "hosts")


@needs_root
def test_a_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    (tmp_path / "hosts").mkdir(mode=0o700)
    os.chown(tmp_path / "hosts", NOBODY, NOBODY)
    with pytest.raises(RunError, match=f"user {NOBODY}"):
        private_folder(tmp_path / "hosts")


@needs_root
def test_another_user_cannot_reach_the_socket(tmp_path: Path) -> None:
    open_for_all(tmp_path)
    place = private_folder(tmp_path / "hosts") / "a.sock"

    def refused() -> None:
        with pytest.raises(PermissionError):
            connect(place)

    with listen(place):
        as_nobody(refused)


@needs_root
def test_another_user_who_got_through_is_not_answered(tmp_path: Path) -> None:
    """Its connection is closed before a word is read, and it does not speak to a socket of somebody else."""
    open_for_all(tmp_path)
    (tmp_path / "hosts").mkdir(mode=0o755)
    place = tmp_path / "hosts" / "a.sock"
    with listen(place) as listener:
        place.chmod(0o777)

        def tries() -> None:
            with pytest.raises(PermissionError, match="another user"):
                connect(place)

        as_nobody(tries)
        assert accept(listener) is None


def test_a_message_of_another_size_and_its_descriptor_are_refused(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs, (tmp_path / "file").open("w") as file:
        before = len(os.listdir("/proc/self/fd"))
        send(theirs, b"too long", file.fileno())
        with pytest.raises(EOFError):
            receive(ours, 4)
        assert len(os.listdir("/proc/self/fd")) == before
        send(theirs, b"four", file.fileno())
        message, came = receive(ours, 4)
        assert came is not None
        assert message == b"four"
        assert not os.get_inheritable(came)
        os.close(came)
        theirs.close()
        with pytest.raises(EOFError):
            receive(ours, 4)


def test_an_address_may_be_longer_than_a_socket_s(tmp_path: Path) -> None:
    folder = tmp_path / ("a" * 100) / ("b" * 100)
    folder.mkdir(parents=True, mode=0o700)
    with listen(folder / "a.sock") as listener:
        found: list[socket.socket | None] = []
        thread = threading.Thread(target=lambda: found.append(connect(folder / "a.sock")))
        thread.start()
        accepted = accept(listener)
        thread.join()
        assert accepted is not None
        assert found[0] is not None
        assert peer_of(accepted) == peer_of(found[0]) == (os.getpid(), os.geteuid())
        accepted.close()
        found[0].close()


def test_nobody_at_an_address_is_none(tmp_path: Path) -> None:
    assert connect(tmp_path / "a.sock") is None
    listen(tmp_path / "a.sock").close()
    assert connect(tmp_path / "a.sock") is None  # what a host leaves that was killed
    with listen(tmp_path / "a.sock"):
        pass
