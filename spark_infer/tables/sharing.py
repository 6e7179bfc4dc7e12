"""Why a member of a group may not write what the group shares."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable

from spark_infer.tables.owners import KNOWN, group_name, own_groups, user_name
from spark_infer.tables.storage import Storage


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
