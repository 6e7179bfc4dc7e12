"""Act as another user of this machine, or with another umask; only root can be somebody else."""

from __future__ import annotations

import os
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path

import pytest

UMASKS = [0o000, 0o002, 0o022, 0o077]
NOBODY = 65534
needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can act as a second user")


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def open_for_all(tmp_path: Path) -> None:
    """Have another user reach a folder of this test."""
    temporary = Path(tempfile.gettempdir())
    for folder in takewhile(lambda folder: folder != temporary, (tmp_path, *tmp_path.parents)):
        folder.chmod(0o755)


def as_nobody(what: Callable[[], None]) -> None:
    """Do something in a child process of the user nobody."""
    as_user(what, NOBODY, [])


def as_user(what: Callable[[], object], user: int, groups: list[int]) -> None:
    """Do something in a child process of another user, who has a group of the same number and some more."""
    child = os.fork()
    if not child:
        code = 1
        try:
            os.setgroups(groups)
            os.setgid(user)
            os.setuid(user)
            what()
            code = 0
        except BaseException:
            traceback.print_exc()
            raise
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
