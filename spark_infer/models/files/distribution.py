"""How a model's files reach the workers: one decision, made on the driver, told in the plan, carried out once a node.

Never one download for each task or worker: what is not on the node yet goes through its model store, whose lock lets
one process fetch and the others wait.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from spark_infer.errors import ModelFilesError
from spark_infer.models.files import objects, shared
from spark_infer.models.files.archive import unpack
from spark_infer.models.files.root import worker_root
from spark_infer.models.files.store import ModelStore

Way = Literal["same_node", "shared_folder", "spark_files", "object_store"]


@dataclass(frozen=True, kw_only=True)
class ModelFiles:
    """Where a worker finds the model's files.

    Attributes:
        digest: What they must hash to.
        way: ``same_node``: the driver's own store; ``shared_folder``: a folder that every node mounts;
            ``spark_files``: an archive that Spark sends; ``object_store``: an archive that each node downloads.
        place: Root of the driver's store, the folder, name of the archive, or the URI; holds no secret.
        there: Whether the files were there already when this was decided.
    """

    digest: str
    way: Way
    place: str
    there: bool = True

    def __str__(self) -> str:
        if self.way == "same_node":
            return "the driver's model store: workers run on the same machine"
        if self.way == "shared_folder":
            first = "they are there already" if self.there else "the driver puts them there first"
            return f"{self.place}, a folder that every node mounts: {first}, and are read in place"
        if self.way == "object_store":
            first = "is there already" if self.there else "is uploaded first"
            return f"{self.place}: one archive {first}, and each node downloads it once into its model store"
        return "Spark's file distribution: one archive for each executor, unpacked once into each node's model store"


def decide(wish: str, ref_digest: str, store: ModelStore, *, workers_here: bool) -> ModelFiles:
    """Decide how a model's files reach the workers; write nothing.

    Args:
        wish: `ScoreOptions.model_files`.
        ref_digest: The model's.
        store: The driver's store, which holds it.
        workers_here: Whether the workers run on the driver's machine, as the same user.

    Raises:
        EnvironmentProblem: The folder or URI that the user named cannot be used.
    """
    if wish == "auto":
        if workers_here:
            return ModelFiles(digest=ref_digest, way="same_node", place=str(store.root.absolute()))
        return ModelFiles(digest=ref_digest, way="spark_files", place=f"spark_infer-{ref_digest}.tar")
    folder = _folder(wish)
    if folder is not None:
        there = shared.check(folder, ref_digest)
        return ModelFiles(digest=ref_digest, way="shared_folder", place=str(folder), there=there)
    there = objects.check(wish, ref_digest, store.path(ref_digest))
    return ModelFiles(digest=ref_digest, way="object_store", place=wish, there=there)


def deliver(files: ModelFiles, store: ModelStore) -> None:
    """Put the files where `decide` said, unless they are there; Spark's own distribution is not done here.

    Raises:
        EnvironmentProblem: They cannot be written there.
    """
    if files.way == "shared_folder":
        shared.put(Path(files.place), files.digest, store.path(files.digest))
    elif files.way == "object_store":
        objects.upload(files.place, files.digest, store.path(files.digest))


def open_folder(files: ModelFiles, sent: Callable[[str], Path]) -> Path:
    """Return the folder of the model's verified files on this node; runs in a worker.

    Args:
        files: The way that was decided.
        sent: Finds a file that Spark sent, by name.

    Raises:
        ModelFilesError: The files are missing, or do not hash to the digest.
    """
    if files.way == "same_node":
        return ModelStore(Path(files.place)).ensure(files.digest, _nothing_to_fetch)
    if files.way == "shared_folder":
        return shared.find(Path(files.place), files.digest)

    def fetch(into: Path) -> None:
        if files.way == "object_store":
            objects.download(files.place, files.digest, into)
        else:
            unpack(sent(files.place), into)

    return ModelStore(worker_root(os.environ)).ensure(files.digest, fetch)


def _folder(wish: str) -> Path | None:
    if wish.startswith("/"):
        return Path(wish)
    parts = urlsplit(wish)
    return Path(unquote(parts.path)) if parts.scheme.lower() == "file" else None


def _nothing_to_fetch(into: Path) -> None:
    raise ModelFilesError(
        "The model's files are no longer in the driver's model store, or were changed there.",
        next_step="resolve the model again: call score, score_table or model_udf again.",
    )
