"""The users and groups of this machine, as far as they decide whose ledger counts and who may write."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from spark_infer.errors import ConfigError
from spark_infer.tables.storage import Storage

try:
    import grp
    import pwd
except ImportError:  # Windows keeps other books
    grp = pwd = None  # type: ignore[assignment]

KNOWN = grp is not None
"""Whether this machine has numbered users and groups."""

NOBODY = 65534
"""Whom Linux shows where a container cannot name the owner: it may be anybody."""

_STATUS = Path("/proc/self/status")


def number(name: str, kind: Literal["user", "group"]) -> int:
    """The number of a user or group that a job names.

    Raises:
        ConfigError: This machine does not know the name.
    """
    if name.isdigit():
        return int(name)
    try:
        return pwd.getpwnam(name).pw_uid if kind == "user" else grp.getgrnam(name).gr_gid
    except KeyError:
        raise ConfigError(
            f"target.ledger_{kind}{'s' if kind == 'user' else ''} names {name!r}, and this machine has no such {kind}.",
            next_step="correct the name, or give the number.",
        ) from None


def user_name(user: int) -> str:
    """The name of a user, or the number where the machine has none."""
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)


def group_name(group: int) -> str:
    """The name of a group, or the number where the machine has none."""
    try:
        return grp.getgrgid(group).gr_name
    except KeyError:
        return str(group)


def own_groups() -> frozenset[int]:
    """The groups of this process, also those that the machine does not know."""
    return frozenset({os.getegid(), *os.getgroups()})


def groups_of(user: int) -> tuple[int, ...]:
    """The groups of a user as the machine lists them; what a container gives to a process alone is not among them."""
    try:
        entry = pwd.getpwuid(user)
        return tuple(os.getgrouplist(entry.pw_name, entry.pw_gid))
    except (KeyError, OSError):
        return ()


def is_private(group: int, user: int) -> bool:
    """Whether a group has a user alone, as where each user has a group of the same name and the umask is 002."""
    try:
        owner, members = pwd.getpwuid(user), grp.getgrgid(group)
    except KeyError:
        return False
    alone = not set(members.gr_mem) - {owner.pw_name}
    return alone and (owner.pw_gid, owner.pw_name) == (group, members.gr_name)


def umask() -> int | None:
    """The umask of this process; None where it cannot be read without setting it, which other threads would notice."""
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:  # not Linux
        return None
    return next((int(line.split()[1], 8) for line in lines if line.startswith("Umask:")), None)


def closed_to_group(folders: Iterable[Storage]) -> str:
    """Say which of some folders has a group of this process that may not write there, and what to do; else nothing.

    A run with the umask 022 leaves such folders to the other members of its group.
    """
    for folder in folders:
        if not KNOWN or folder.scheme != "file":
            continue
        try:
            facts = os.stat(folder.root)
        except OSError:
            continue
        if facts.st_uid == os.geteuid() or facts.st_mode & stat.S_IWGRP or facts.st_gid not in own_groups():
            continue
        owner, group = user_name(facts.st_uid), group_name(facts.st_gid)
        return (
            f"{folder.root} has the group {group} and the mode {stat.S_IMODE(facts.st_mode):04o}, as after a run of "
            f"{owner} with the umask 022: have {owner} run `chmod -R g+w` on the table and on the folder of its "
            "ledger, and set the umask 002 in the runs of all members."
        )
    return ""
