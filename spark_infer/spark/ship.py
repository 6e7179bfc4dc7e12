"""Bring a model's files to the workers of a Spark session, on the way that was decided for it."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from pathlib import Path

from pyspark.sql import SparkSession

from spark_infer.models.files import distribution
from spark_infer.models.files.archive import pack
from spark_infer.models.files.distribution import ModelFiles, decide, deliver
from spark_infer.models.files.store import ModelStore
from spark_infer.spark.server import is_connect, is_own_server
from spark_infer.spark.session_settings import setting
from spark_infer.spark.versions import send_file

__all__ = ["ModelFiles", "choose_way", "open_folder", "ship", "workers_are_here"]


def choose_way(spark: SparkSession, store: ModelStore, digest: str, wish: str) -> ModelFiles:
    """Decide how a model's files reach the workers of a session; write nothing.

    Args:
        spark: The session.
        store: The driver's store, which holds the model.
        digest: The model's.
        wish: `ScoreOptions.model_files`.

    Raises:
        EnvironmentProblem: The folder or URI that the user named cannot be used.
    """
    return decide(wish, digest, store, workers_here=workers_are_here(spark))


def ship(spark: SparkSession, store: ModelStore, files: ModelFiles) -> None:
    """Put a model's files where the workers of a session will look; start no Spark task.

    Spark's own distribution and an object store cost the driver one read and one write of the model's bytes, once for
    a session or for good; a shared folder costs one copy; the same node costs nothing.

    Raises:
        EnvironmentProblem: They cannot be written there.
    """
    if files.way != "spark_files":
        deliver(files, store)
        return
    sent = _SENT.setdefault(_session_key(spark), set())
    if files.place not in sent:
        archive = _archives() / files.place
        if not archive.exists():
            unfinished = archive.with_suffix(".part")
            unfinished.unlink(missing_ok=True)
            pack(store.path(files.digest), unfinished)
            unfinished.rename(archive)
        send_file(spark, archive)
        sent.add(files.place)


def open_folder(files: ModelFiles) -> Path:
    """Return the folder of the model's verified files on this node; runs in a worker.

    Raises:
        ModelFilesError: The files are missing, or do not hash to the digest.
    """
    return distribution.open_folder(files, _sent)


_SENT: dict[str, set[str]] = {}


@functools.cache
def _archives() -> Path:
    # Spark serves the file from where it lies, as long as the driver runs.
    folder = tempfile.mkdtemp(prefix="spark_infer-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def _sent(name: str) -> Path:
    from pyspark import SparkFiles

    return Path(SparkFiles.get(name))


def _connect_session(spark: SparkSession) -> str:
    """Return the id of a Spark Connect session, "" of a classic one."""
    return str(getattr(spark, "session_id", ""))


def _session_key(spark: SparkSession) -> str:
    # A Connect session keeps its files to itself; the sessions of a classic application share theirs.
    return _connect_session(spark) or setting(spark, "spark.app.id") or str(id(spark))


def workers_are_here(spark: SparkSession) -> bool:
    """Whether the workers run on this machine, as this user."""
    if is_connect(spark) and not is_own_server(spark):
        return False  # the server may run elsewhere, or as another user
    master = setting(spark, "spark.master")
    return master.startswith("local") and not master.startswith("local-cluster")  # which stands for a cluster
