"""Who may write a ledger: looked at before anything of it is believed, since it decides which files a run moves where.

A ledger on a disk counts where it belongs to the user of this process, to root, to the owner of the table, or to users
that the job names, and where nobody else may write to it. HDFS and object stores show no owners here: there whoever may
write beside the table is trusted. The paths in a ledger are checked everywhere, see `stays_inside`.
"""

from __future__ import annotations

import errno
import os
import posixpath
import stat
import tempfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from spark_infer.config import TargetConfig
from spark_infer.errors import ConfigError, LedgerError
from spark_infer.tables.durable import LocalDisk, disk_of, sync
from spark_infer.tables.ledger import owners
from spark_infer.tables.storage import Storage

_OTHERS = stat.S_IWOTH | stat.S_IWGRP
_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)


@dataclass(frozen=True, kw_only=True)
class Access:
    """Whose ledgers count on a disk, and who may use those that are made.

    Attributes:
        users: Numbers of the users whose folders and files count.
        group: Number of a group whose members share the ledger; None where only the user of this process writes it.
    """

    users: frozenset[int]
    group: int | None = None

    @property
    def file_mode(self) -> int:
        """The mode of a new file."""
        return 0o600 if self.group is None else 0o640

    def warnings(self) -> tuple[str, ...]:
        """What the group cannot do with the table after this run, whose files keep the umask."""
        mask = owners.umask()
        if self.group is None or mask is None or not mask & stat.S_IRWXG:
            return ()
        return (
            f"the umask {mask:03o} of this process keeps the group {owners.group_name(self.group)} of "
            "target.ledger_group from writing what this run adds to the table; set the umask 002, for the workers too, "
            "or give the table's folder a default ACL for the group",
        )

    def check(self, root: str, inside: Iterable[str]) -> None:
        """Look at the folder of a target's ledgers, and at that of each run.

        Args:
            root: The folder of the ledgers; need not be there.
            inside: Names of the folders inside a run's that hold what is believed.

        Raises:
            LedgerError: One of them may have been made or changed by somebody else.
        """
        if self.look(root):
            for run in _folders(root):
                self.check_run(run, inside)

    def check_run(self, run: str, inside: Iterable[str]) -> None:
        """Look at the folder of one run, and at those inside it; the same arguments and errors."""
        if self.look(run):
            for name in inside:
                self.look(f"{run}/{name}")

    def read(self, path: str) -> bytes | None:
        """The content of a file; None where there is none.

        Raises:
            LedgerError: It may have been written by somebody else.
        """
        try:
            with open(path, "rb", opener=_without_links) as file:
                self._refuse(path, os.fstat(file.fileno()), stat.S_ISREG)
                return file.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise (_misplaced(path) if error.errno == errno.ELOOP else _unreadable(path, error)) from error

    def make_folder(self, path: str) -> None:
        """Make a folder in one that is there, for the user of this process and the group alone, so that it stays.

        Raises:
            LedgerError: It is there, and may have been made by somebody else.
        """
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            if self.look(path):
                self._share(path)
            return
        if self.group is not None:
            os.chown(path, -1, self.group)
            os.chmod(path, 0o2770)
        sync(posixpath.dirname(path))

    def _share(self, path: str) -> None:
        """Give the group what this user made before the job named a group: the folder and all below it."""
        facts = os.lstat(path)
        is_shared = facts.st_gid == self.group and facts.st_mode & stat.S_IRWXG == stat.S_IRWXG
        if self.group is None or facts.st_uid != os.geteuid() or is_shared:
            return
        for _, _, files, folder in os.fwalk(path, follow_symlinks=False):
            for name in files:
                if stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                    os.chown(name, -1, self.group, dir_fd=folder, follow_symlinks=False)
                    os.chmod(name, self.file_mode, dir_fd=folder)
            os.fchown(folder, -1, self.group)
            os.fchmod(folder, 0o2770)

    def look(self, path: str) -> bool:
        """Look at one folder; False where there is none.

        Raises:
            LedgerError: It may have been made or changed by somebody else.
        """
        try:
            facts = os.lstat(path)
        except OSError as error:
            if error.errno in _ABSENT:
                return False
            raise _unreadable(path, error) from error
        self._refuse(path, facts, stat.S_ISDIR)
        return True

    def _refuse(self, path: str, facts: os.stat_result, is_right: Callable[[int], bool]) -> None:
        if not is_right(facts.st_mode):
            raise _misplaced(path)
        foreign, writable = not self._counts(path, facts), self._others_write(facts)
        if not foreign and not writable:
            return
        shown = None
        with suppress(OSError):
            shown = _as_shown(posixpath.dirname(path))
        if foreign and (shown is None or shown.st_uid != facts.st_uid):
            raise _foreign(path, facts)
        if writable and (shown is None or not shown.st_mode & _OTHERS):
            raise _writable(path, facts)

    def _counts(self, path: str, facts: os.stat_result) -> bool:
        if facts.st_uid in self.users:
            return True
        return self.group is not None and (
            self.group in owners.groups_of(facts.st_uid) or self._is_of_a_member(path, facts)
        )

    def _is_of_a_member(self, path: str, facts: os.stat_result) -> bool:
        """Whether only members of the group can have made a file or folder, whoever the machine says they are.

        Containers give processes groups that no list of the machine has (``fsGroup`` of Kubernetes). So the file has
        the group, and where it lies, up to a folder of a user who counts, only the group and such users may write.
        """
        place = Path(posixpath.dirname(path)).resolve()
        for folder in (place, *place.parents):
            around = folder.stat()
            if facts.st_gid != self.group or self._others_write(around):
                return False
            if around.st_uid in self.users:
                return True
            facts = around
        return False

    def _others_write(self, facts: os.stat_result) -> bool:
        by_group = facts.st_mode & stat.S_IWGRP and facts.st_gid != self.group
        return bool(facts.st_mode & stat.S_IWOTH or (by_group and not owners.is_private(facts.st_gid, facts.st_uid)))


def access_of(table: Storage, target: TargetConfig) -> Access | None:
    """Return whose ledgers count beside a table; None where its file system shows no owners.

    Raises:
        ConfigError: The job names a user or group that this machine does not know, or a group without this user.
    """
    if not owners.KNOWN or not isinstance(disk_of(table), LocalDisk):
        return None
    users = {0, os.geteuid(), *(owners.number(name, "user") for name in target.ledger_users)}
    with suppress(OSError):
        # Anybody can make an empty folder where a table is going to be.
        if any(not name.startswith(".") for name in os.listdir(table.root)):
            users |= {os.stat(table.root).st_uid} - {owners.NOBODY}
    group = None if target.ledger_group is None else owners.number(target.ledger_group, "group")
    if group not in {None, *owners.own_groups()} and os.geteuid() != 0:
        raise ConfigError(
            f"target.ledger_group names {target.ledger_group!r}, and the user of this process is not in that group.",
            next_step="name a group that it is in, or log in again where it was added since.",
        )
    return Access(users=frozenset(users), group=group)


@lru_cache
def _as_shown(folder: str) -> os.stat_result:
    """Make a file of this process for a moment, and return how its disk shows it.

    NFS shows root as somebody else, and a mount through FUSE or CIFS may show one owner and one mode for everything.
    """
    with tempfile.NamedTemporaryFile(prefix=".spark_infer-", dir=folder) as made:
        return os.fstat(made.fileno())


def _folders(root: str) -> list[str]:
    """All that is in a folder but plain files, which are nothing of ours; NFS leaves some for a while."""
    try:
        with os.scandir(root) as entries:
            return [entry.path for entry in entries if not entry.is_file(follow_symlinks=False)]
    except OSError as error:
        raise _unreadable(root, error) from error


def _without_links(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


_WHY = "a ledger decides which files a run moves, and where: it counts only where nobody else can have written it"


def _foreign(path: str, facts: os.stat_result) -> LedgerError:
    owner = owners.user_name(facts.st_uid)
    return LedgerError(
        f"{path}, a part of a ledger, belongs to the user {owner}, who is not named by the job.",
        details=[_WHY, "nothing of it was used"],
        next_step=f"name {owner} in target.ledger_users if that user may decide what this job does; else have the "
        "folder of the ledger removed, or choose another target.",
    )


def _writable(path: str, facts: os.stat_result) -> LedgerError:
    group, by_all = owners.group_name(facts.st_gid), facts.st_mode & stat.S_IWOTH
    shared = f"if the group {group} shares the runs of this table, name it in target.ledger_group"
    closed = f"run `chmod -R {'o' if by_all else 'g'}-w` on the folder of the ledger if nobody else did write there"
    return LedgerError(
        f"Others may write to {path}, a part of a ledger (mode {stat.S_IMODE(facts.st_mode):04o}, group {group}).",
        details=[_WHY, "nothing of it was used"],
        next_step=(f"{closed}, and {shared}" if by_all else f"{shared}; if not, {closed}")
        + "; else remove that folder, after a look at what the target holds.",
    )


def _misplaced(path: str) -> LedgerError:
    return LedgerError(
        f"{path}, a part of a ledger, is a symbolic link, or not a folder or file as it should be.",
        details=["spark_infer makes no links there: somebody else did, and nothing of it was used"],
        next_step="see who may write to that folder; remove it, after a look at what the target holds, or choose "
        "another target.",
    )


def _unreadable(path: str, error: OSError) -> LedgerError:
    return LedgerError(
        f"{path}, a part of a ledger, cannot be read: {error.strerror or error}",
        details=["a ledger is for the user who made it, and for the group that its job names in target.ledger_group"],
        next_step="run as that user; or have that user name a group that both are in as target.ledger_group and run "
        "the job once, which shares the folder of the ledger, or run `chgrp -R GROUP` and `chmod -R g+rwX` on it.",
    )
