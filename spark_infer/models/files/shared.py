"""A folder that every node mounts: the driver puts a model there once, workers read it where it lies.

The folder is either a model folder itself, or a place for many, which is then laid out as a `ModelStore`. It may belong
to another user and be open to others: by naming it, the user trusts whoever can write there. Every worker hashes the
files before it loads them.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from spark_infer.errors import EnvironmentProblem, ModelFilesError, SparkInferError
from spark_infer.models.files.digest import folder_digest, model_files
from spark_infer.models.files.store import ModelStore

_MLMODEL = "MLmodel"


def check(folder: Path, digest: str) -> bool:
    """Tell, on the driver, whether a folder holds a model already; refuse one that neither does nor can take it.

    Writes nothing.

    Raises:
        EnvironmentProblem: There is no such folder, it holds another model, or it cannot be written.
    """
    if not folder.is_dir():
        raise EnvironmentProblem(
            f"model_files names the folder {folder}, and there is none on the driver.",
            next_step="mount it on the driver and on every node, or leave model_files out.",
        )
    if (folder / _MLMODEL).exists():
        _refuse_other(folder, digest)
        return True
    try:
        if ModelStore(folder, shared=True).find(digest) is not None:
            return True
    except SparkInferError as error:
        raise _unusable(folder, error) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise EnvironmentProblem(
            f"model_files names the folder {folder}, which does not hold the model and cannot be written.",
            next_step="have somebody who may write there run a job first, or name another folder.",
        )
    return False


def put(folder: Path, digest: str, source: Path) -> None:
    """Copy the verified files of a model to the folder, where they are not there yet.

    Raises:
        EnvironmentProblem: They cannot be written there.
    """
    if (folder / _MLMODEL).exists():
        return

    def copy(into: Path) -> None:
        for name, path in model_files(source).items():
            (into / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, into / name)

    try:
        ModelStore(folder, shared=True).ensure(digest, copy)
    except SparkInferError as error:
        raise _unusable(folder, error) from error


def find(folder: Path, digest: str) -> Path:
    """Return the folder with the verified files on this node; reads every byte the first time.

    Raises:
        ModelFilesError: They are not there, or not what the digest says.
    """
    if (folder / _MLMODEL).exists():
        found = folder if folder_digest(folder) == digest else None
    else:
        found = ModelStore(folder, shared=True).find(digest)
    if found is None:
        raise ModelFilesError(
            f"On this node, {folder} does not hold the files of model {digest[:12]} that the driver found there.",
            next_step="mount the folder on every node, or leave model_files out: Spark then sends the files.",
        )
    return found


def _refuse_other(folder: Path, digest: str) -> None:
    try:
        found = folder_digest(folder)
    except SparkInferError as error:
        raise _unusable(folder, error) from error
    if found != digest:
        raise EnvironmentProblem(
            f"model_files names the model folder {folder}, which holds another model: its digest is {found[:12]}, the "
            f"job's model has {digest[:12]}.",
            next_step="name a folder that holds no MLmodel file: models are put below it by digest.",
        )


def _unusable(folder: Path, error: SparkInferError) -> EnvironmentProblem:
    return EnvironmentProblem(
        f"The folder {folder}, which model_files names, cannot be used.",
        details=[error.what, *error.details],
        next_step="check the folder and its disk, or leave model_files out: Spark then sends the files.",
    )
