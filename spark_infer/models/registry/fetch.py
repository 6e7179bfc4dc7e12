"""A located model's files, into the store by the shortest way that is sure.

MLflow keeps no digest of a model's files, so after the first download we write down what came: one small JSON
file for each version of each registry, beside the store's entries. It names everything that the registry says about the
version, its creation time included; a registry that was made again under the same address is then not mistaken
for the old one.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from spark_infer.config.secrets import without_secrets
from spark_infer.errors import DeadlineError, ModelFilesError, ModelNotFoundError, ModelRefusedError
from spark_infer.models.files.digest import hash_files, is_model_file
from spark_infer.models.files.notes import read_note, write_note
from spark_infer.models.files.store import ModelStore
from spark_infer.models.mlmodel import MLMODEL, read_mlmodel
from spark_infer.models.registry.download import TooManyBytesError, download
from spark_infer.models.registry.locate_model import Identity, Located
from spark_infer.models.registry.mlflow_calls import (
    WHOLE_CALL,
    GivenUpError,
    asked,
    printable_cause,
    settings,
    translated,
)
from spark_infer.models.registry.servers import RemoteFolder

logger = logging.getLogger(__name__)

DOWNLOAD_SECONDS = 3600.0

_VERSIONS = "versions"

_UNLISTED_BYTES = 64 * 2**20
"""How much more than twice the listed sizes a download may download_all: not all files beside a model are listed."""


def fetch(
    located: Located,
    open_remote: Callable[[str], RemoteFolder],
    store: ModelStore,
    *,
    seconds: float = DOWNLOAD_SECONDS,
) -> str:
    """Get a model's files into the store and return their digest.

    Files on this machine are read and compared each time. A registered version from elsewhere that is in the
    store already is not downloaded again, as long as its listing and its MLmodel file are unchanged.

    Args:
        located: The model.
        open_remote: Opens an address that is not on this machine.
        store: Where the files go.
        seconds: How long a download may take.
    """
    if located.folder is not None:
        try:
            read_mlmodel(located.folder)
        except ModelNotFoundError as error:
            raise located.not_found(error.what) from error
        return store.admit(located.folder)
    remote = asked(located.location, partial(open_remote, located.location))
    names = asked(located.location, lambda: [file.path for file in remote.list_artifacts(None)])
    if MLMODEL not in names:
        raise located.not_found(f"found instead of {MLMODEL}: " + (", ".join(names[:8]) or "nothing"))
    download_all = partial(_download_all, located.location, remote, seconds)
    return _remembered(located, remote, store, download_all) if located.identity else store.receive(download_all)


def _download_all(location: str, remote: RemoteFolder, seconds: float, folder: Path) -> None:
    """Download all files to a folder."""
    sizes = asked(location, lambda: [size for _, size in _listed(remote)])
    size = sum(size or 0 for size in sizes)
    if size > (free := shutil.disk_usage(folder).free):
        raise OSError(errno.ENOSPC, f"{size} bytes wanted, {free} free")
    most = free if None in sizes else min(free, 2 * size + _UNLISTED_BYTES)
    try:
        with settings(WHOLE_CALL):
            download(partial(remote.download_artifacts, "", str(folder)), folder, seconds=seconds, most_bytes=most)
    except GivenUpError as error:
        raise DeadlineError(
            f"The model's files could not be downloaded from {without_secrets(location)}: {error}.",
            details=["it stood, the innermost call first:", *error.stack],
            next_step="see whether the place answers; or give it longer with model.download_seconds.",
        ) from None
    except TooManyBytesError as error:
        raise ModelRefusedError(
            f"The model's files could not be downloaded from {without_secrets(location)}: {error.size:,} bytes came, "
            "and the download was stopped.",
            details=[f"its listing has {size:,} bytes; at most {error.most:,} are taken"],
            next_step="see what the place holds, and whether it still changes; log the model again.",
        ) from None
    except Exception as error:
        raise translated(error, location) from printable_cause(error)


def _remembered(located: Located, remote: RemoteFolder, store: ModelStore, download_all: Callable[[Path], None]) -> str:
    identity = located.identity or {}
    with store.lock(f"version-{identity_key(identity)}"):
        before = recall(store.root, identity)
        if before is not None:
            if asked(located.location, partial(_is_unchanged, before, remote, store)):
                store.ensure(before, download_all)
                return before
            logger.warning("The files of %s are not those seen before; they are taken again.", located.title)
        digest = store.receive(download_all)
        remember(store.root, identity, digest)
    return digest


def _is_unchanged(digest: str, remote: RemoteFolder, store: ModelStore) -> bool:
    """Compare names, sizes and the MLmodel file with the store's.

    A version's files should never change, but `mlflow.models.update_signature` and its like rewrite MLmodel in place.
    """
    try:
        manifest = store.manifest(digest)
    except ModelFilesError:
        return False
    sizes = dict(_listed(remote))
    if sizes.keys() != manifest.keys():
        return False
    if any(size is not None and size != manifest[name].size for name, size in sizes.items()):
        return False
    with store.working_folder() as folder:
        remote.download_artifacts(MLMODEL, str(folder))
        return hash_files(folder)[MLMODEL] == manifest[MLMODEL]


def _listed(remote: RemoteFolder) -> Iterator[tuple[str, int | None]]:
    pending: list[str | None] = [None]
    while pending:
        for file in remote.list_artifacts(pending.pop()):
            if file.is_dir:
                pending.append(file.path)
            elif is_model_file(file.path):
                yield file.path, file.file_size


def identity_key(identity: Identity) -> str:
    """Return a name for a version that is fit for a file."""
    return hashlib.sha256(json.dumps(dict(identity), sort_keys=True).encode()).hexdigest()


def recall(root: Path, identity: Identity) -> str | None:
    """Return the digest that was written down for a version, or None."""
    try:
        record = json.loads(read_note(root, _VERSIONS, _name(identity)) or b"null")
        if record["version"] == dict(identity):
            return str(record["digest"])
    except (ValueError, KeyError, TypeError, RecursionError):
        pass  # not written yet, or damaged: the version is downloaded and written down again
    return None


def remember(root: Path, identity: Identity, digest: str) -> None:
    """Write down the digest of a version; the last one to write wins."""
    record = json.dumps({"version": dict(identity), "digest": digest}, indent=1)
    try:
        write_note(root, _VERSIONS, _name(identity), record.encode())
    except OSError as error:  # costs a download next time, nothing else
        logger.warning("The digest of a model version could not be written down: %s", error.strerror)


def _name(identity: Identity) -> str:
    return f"{identity_key(identity)}.json"
