"""A located model's files, into the store by the shortest way that is sure."""

from __future__ import annotations

import errno
import logging
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from spark_infer.errors import ModelFilesError, ModelNotFoundError
from spark_infer.models.files.digest import hash_files, is_model_file
from spark_infer.models.files.store import ModelStore
from spark_infer.models.mlmodel import MLMODEL, read_mlmodel
from spark_infer.models.registry import digest_cache
from spark_infer.models.registry.download import TooManyBytesError, download
from spark_infer.models.registry.failures import printable_cause, too_large, too_slow, translated
from spark_infer.models.registry.not_found import absent_files
from spark_infer.models.registry.timeouts import WHOLE_CALL, GivenUpError, ask, settings
from spark_infer.models.registry.uri import is_local, local_folder

logger = logging.getLogger(__name__)

DOWNLOAD_SECONDS = 3600.0

_UNLISTED_BYTES = 64 * 2**20
"""How much more than twice the listed sizes a download may bring: not all files beside a model are listed."""

Answer = TypeVar("Answer")


@dataclass(frozen=True, kw_only=True)
class Located:
    """Where a model's files are, and what they are called there.

    Attributes:
        name: For people.
        version: The registry's number, or None for a model in no registry.
        location: Path or address of the folder.
        identity: All that the registry says about the version; None where the files may change.
    """

    name: str
    version: str | None = None
    location: str
    identity: digest_cache.Identity | None = None

    @property
    def title(self) -> str:
        """Name and version in one."""
        return f"{self.name!r} version {self.version}" if self.version else f"{self.name!r}"


class RemoteFile(Protocol):
    """What MLflow says about one file or folder of a listing."""

    @property
    def path(self) -> str:
        """Path from the folder that was opened."""

    @property
    def is_dir(self) -> bool:
        """Whether it is a folder."""

    @property
    def file_size(self) -> int | None:
        """Bytes, where the place says."""


class RemoteFolder(Protocol):
    """What we use of MLflow's artifact repositories."""

    def list_artifacts(self, path: str | None = None) -> Sequence[RemoteFile]:
        """List what is directly under a path."""

    def download_artifacts(self, artifact_path: str, dst_path: str) -> str:
        """Copy a file or a folder to a folder on this machine."""


def asked(address: str, question: Callable[[], Answer]) -> Answer:
    """Call ``question`` within the time limit and turn what it raises into our errors.

    Args:
        address: Who is asked.
        question: Talks to MLflow or an object store.
    """
    try:
        return ask(question)
    except Exception as error:
        raise translated(error, address) from printable_cause(error)


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
    if is_local(located.location):
        folder = local_folder(located.location)
        try:
            read_mlmodel(folder)
        except ModelNotFoundError as error:
            raise absent_files(located.title, located.location, error.what) from error
        return store.admit(folder)
    remote = asked(located.location, lambda: open_remote(located.location))
    names = asked(located.location, lambda: [file.path for file in remote.list_artifacts(None)])
    if MLMODEL not in names:
        inside = f"found instead of {MLMODEL}: " + (", ".join(names[:8]) or "nothing")
        raise absent_files(located.title, located.location, inside)

    def fetch(folder: Path) -> None:
        sizes = asked(located.location, lambda: [size for _, size in _listed(remote)])
        size = sum(size or 0 for size in sizes)
        if size > (free := shutil.disk_usage(folder).free):
            raise OSError(errno.ENOSPC, f"{size} bytes wanted, {free} free")
        most = free if None in sizes else min(free, 2 * size + _UNLISTED_BYTES)
        try:
            with settings(WHOLE_CALL):
                fetch_all = partial(remote.download_artifacts, "", str(folder))
                download(fetch_all, folder, seconds=seconds, most_bytes=most)
        except GivenUpError as error:
            raise too_slow(error, located.location) from None
        except TooManyBytesError as error:
            raise too_large(error, located.location, size) from None
        except Exception as error:
            raise translated(error, located.location) from printable_cause(error)

    return _remembered(located, remote, store, fetch) if located.identity else store.receive(fetch)


def _remembered(located: Located, remote: RemoteFolder, store: ModelStore, fetch: Callable[[Path], None]) -> str:
    identity = located.identity or {}
    with store.lock(f"version-{digest_cache.key(identity)}"):
        before = digest_cache.recall(store.root, identity)
        if before is not None:
            if asked(located.location, partial(_is_unchanged, before, remote, store)):
                store.ensure(before, fetch)
                return before
            logger.warning("The files of %s are not those seen before; they are taken again.", located.title)
        digest = store.receive(fetch)
        digest_cache.remember(store.root, identity, digest)
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
