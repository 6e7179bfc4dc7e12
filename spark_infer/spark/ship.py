"""How the model's files reach the workers: decided once on the driver, carried out once for each node."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pyspark.sql import SparkSession

from spark_infer.errors import ModelFilesError
from spark_infer.models.files.archive import pack, unpack
from spark_infer.models.files.store import ModelStore, default_root
from spark_infer.models.ref import ModelRef


@dataclass(frozen=True, kw_only=True)
class ModelFiles:
    """Where a worker finds the model's files.

    Attributes:
        digest: What they must hash to.
        way: ``same_node``: the driver's own store; ``spark_files``: an archive that Spark sends to every node.
        place: Root of the driver's store, or name of the archive.
    """

    digest: str
    way: Literal["same_node", "spark_files"]
    place: str

    def __str__(self) -> str:
        if self.way == "same_node":
            return "the driver's model store: workers run on the same machine"
        return "Spark's file distribution: one archive for each node, unpacked into its model store"


def ship(spark: SparkSession, store: ModelStore, ref: ModelRef) -> ModelFiles:
    """Make a model's files reachable for the workers of a session.

    On a cluster this packs the model into one uncompressed archive and hands it to Spark, which costs the driver one
    read and one write of its bytes; the same model is packed once for a session.
    """
    if is_local(spark):
        return ModelFiles(digest=ref.digest, way="same_node", place=str(store.root.absolute()))
    name = f"spark_infer-{ref.digest}.tar"
    sent = _SENT.setdefault(_session_key(spark), set())
    if name not in sent:
        archive = _archives() / name
        pack(store.path(ref.digest), archive)
        spark.addArtifacts(str(archive), file=True)
        sent.add(name)
    return ModelFiles(digest=ref.digest, way="spark_files", place=name)


_SENT: dict[str, set[str]] = {}


@functools.cache
def _archives() -> Path:
    # Spark serves the file from where it lies, as long as the driver runs.
    folder = tempfile.mkdtemp(prefix="spark_infer-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def _session_key(spark: SparkSession) -> str:
    return str(spark.conf.get("spark.app.id", "")) or str(id(spark))


def is_local(spark: SparkSession) -> bool:
    """Whether the workers run on the driver's machine."""
    master = spark.conf.get("spark.master", "") or ""
    return master.startswith("local") and not master.startswith("local-cluster")


def open_folder(files: ModelFiles) -> Path:
    """Return the folder of the model's verified files on this node; runs in a worker.

    Raises:
        ModelFilesError: The files are missing, or do not hash to the digest.
    """
    if files.way == "same_node":
        return ModelStore(Path(files.place)).ensure(files.digest, _nothing_to_fetch)

    def fetch(into: Path) -> None:
        from pyspark import SparkFiles

        unpack(Path(SparkFiles.get(files.place)), into)

    return ModelStore(default_root(os.environ)).ensure(files.digest, fetch)


def _nothing_to_fetch(into: Path) -> None:
    raise ModelFilesError(
        "The model's files are no longer in the driver's model store, or were changed there.",
        next_step="resolve the model again: call score, score_table or model_udf anew.",
    )
