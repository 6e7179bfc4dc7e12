"""Where model files are kept on a node, and who may write there."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Mapping
from pathlib import Path

from spark_infer.errors import EnvironmentProblem

logger = logging.getLogger(__name__)


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
        "Model files are kept in the executor's scratch folder and copied anew for each executor: %s. "
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
