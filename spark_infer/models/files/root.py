"""Where model files are kept on a node, and who may write there."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from spark_infer.errors import EnvironmentProblem

logger = logging.getLogger(__name__)

FOLDERS = ("sha256", "tmp", "locks", "versions", "derived", "ceilings")
"""What a store has below ``models``."""


def default_root(environ: Mapping[str, str]) -> Path:
    """Say where the store belongs: $SPARK_INFER_HOME, else the user's cache folder.

    Raises:
        EnvironmentProblem: The environment names no home folder to keep it in.
    """
    if home := environ.get("SPARK_INFER_HOME"):
        return Path(home).expanduser().absolute()
    if cache := environ.get("XDG_CACHE_HOME"):
        return Path(cache).absolute() / "spark_infer"
    if home := environ.get("HOME"):
        return Path(home).absolute() / ".cache" / "spark_infer"
    raise EnvironmentProblem(
        "There is no folder to keep model files in: HOME is not set.",
        next_step="Set SPARK_INFER_HOME to a folder that only this user can write.",
    )


def worker_root(environ: Mapping[str, str]) -> Path:
    """Say where the store of an executor's node belongs.

    That is `default_root`, as on the driver. Executors often run as a user without a home folder, or with one that is
    not there: then it is the executor's scratch folder, which Spark makes for each executor and removes with it.

    Args:
        environ: The environment of a Python worker; Spark puts `SPARK_LOCAL_DIRS` in.

    Raises:
        EnvironmentProblem: There is neither.
    """
    scratch = environ.get("SPARK_LOCAL_DIRS", "").partition(",")[0]
    if environ.get("SPARK_INFER_HOME") or not scratch:
        return default_root(environ)
    try:
        root = default_root(environ)
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        if os.access(root, os.W_OK | os.X_OK):
            return root
        reason = f"{root} cannot be written"
    except EnvironmentProblem as error:
        reason = error.what
    except OSError as error:
        reason = f"{root} cannot be made: {error.strerror}"
    logger.warning(
        "Model files are kept in the executor's scratch folder and copied again for each executor: %s. "
        "Set spark.executorEnv.SPARK_INFER_HOME to a folder of this user on each node to keep them.",
        reason,
    )
    return Path(scratch).absolute() / "spark_infer"


def refuse_shared(root: Path) -> None:
    """Refuse a root that another user owns or may write to.

    Loading a model is running its author's code: whoever can write here can run code as this user.

    Raises:
        EnvironmentProblem: The root is not this user's alone.
    """
    if not hasattr(os, "getuid"):  # Windows keeps other books
        return
    facts = root.stat()
    if {facts.st_uid, root.lstat().st_uid} != {os.getuid()}:
        raise EnvironmentProblem(
            f"The model store {root} belongs to another user.",
            next_step="Set SPARK_INFER_HOME to a folder of your own.",
        )
    if facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise EnvironmentProblem(
            f"Other users may write to the model store {root} (mode {stat.S_IMODE(facts.st_mode):04o}).",
            next_step=f"Run `chmod 700 {root}` if nobody else did write there, or set SPARK_INFER_HOME.",
        )


def refuse_foreign(root: Path) -> None:
    """Refuse a store whose root, or a folder above its entries and notes, another user can have made or changed.

    Raises:
        EnvironmentProblem: One of them is not this user's alone.
    """
    refuse_shared(root)
    closed = is_closed(root)
    for folder in (root / "models", *(root / "models" / name for name in FOLDERS)):
        with suppress(FileNotFoundError):
            facts = folder.lstat()
            if is_foreign(facts, closed=closed):
                raise EnvironmentProblem(
                    f"{folder}, a part of the model store, is a link, belongs to another user, or may be written by "
                    f"others (mode {stat.S_IMODE(facts.st_mode):04o}).",
                    details=["loading a model runs its author's code, and so nothing of it was used"],
                    next_step=f"Remove {folder}: models are fetched again. Or set SPARK_INFER_HOME to a folder of "
                    "your own.",
                )


def is_ours(root: Path, entry: Path) -> bool:
    """Whether no other user can have made or changed any part of an entry, and none is a link."""
    if is_foreign(entry.lstat(), closed=is_closed(root)):
        return False
    closed = is_closed(root) or is_closed(entry)
    return not any(is_foreign(path.lstat(), closed=closed) for path in entry.rglob("*"))


def is_closed(folder: Path) -> bool:
    """Whether nobody but its owner may look into a folder, so that the modes of what lies in it do not matter."""
    return not folder.stat().st_mode & 0o077


def is_foreign(facts: os.stat_result, *, closed: bool) -> bool:
    """Whether another user can have made or changed a part of a store, or it is a link.

    Args:
        facts: Of the part itself, links not followed.
        closed: Whether only this user may look into a folder around it.
    """
    if not hasattr(os, "getuid"):  # as above
        return False
    writable = facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not closed
    return stat.S_ISLNK(facts.st_mode) or facts.st_uid != os.getuid() or bool(writable)
