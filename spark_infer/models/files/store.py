"""One content-addressed store of model files per node.

    <root>/models/sha256/<digest>/model/…         the files
    <root>/models/sha256/<digest>/manifest.json   size and SHA-256 of each
    <root>/models/tmp/, locks/                    work in progress
    <root>/models/versions/, derived/             see `notes`

An entry appears whole or not at all: files go to a unique folder on the same file system, are verified,
flushed to disk and renamed. So it is right whoever else writes; the lock only keeps two processes from
fetching the same model twice. An entry is hashed before a process first uses it, and its sizes are compared
each time after that; a damaged one is moved aside, thrown away and fetched again, once.

All of it is made for this user alone, whatever the umask. A folder above the entries that another user can have made or
changed is refused; an entry with such a part is a damaged one.
"""

from __future__ import annotations

import errno
import json
import logging
import re
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from spark_infer.errors import EnvironmentProblem, ModelFilesError, SparkInferError
from spark_infer.models.files.digest import FileFacts, combine, hash_files, model_files
from spark_infer.models.files.fetched_folder import fetched, flush, remove_leftovers, sync, tidy
from spark_infer.models.files.lock import held
from spark_infer.models.files.root import default_root, is_ours, refuse_foreign
from spark_infer.runtime.private_files import private
from spark_infer.runtime.process_state import this_process

__all__ = ["ModelStore", "default_root"]

logger = logging.getLogger(__name__)

_DIGEST = re.compile(r"[0-9a-f]{64}")
_LOCK_SECONDS = 30 * 60
_FULL = (errno.ENOSPC, errno.EDQUOT)
_WORK = ("sha256", "tmp", "locks")


class ModelStore:
    """The model files of one node; many processes may use one root at the same time.

    Nothing is touched before the first call, so a store can be made anywhere and pickled.

    Args:
        root: Folder to keep everything in. Made with mode 0700; refused when others may write to it.
        shared: The folder is one that the user named for many nodes and, it may be, many users: it keeps the modes
            that the umask gives, and whoever may write there is trusted.
    """

    def __init__(self, root: Path, *, shared: bool = False) -> None:
        self.root = root
        self._shared = shared
        self._models = root / "models"

    def path(self, digest: str) -> Path:
        """Return where the files of a digest are, or would be."""
        return self._entry(digest) / "model"

    def size_bytes(self, digest: str) -> int:
        """Return the bytes of all files of an entry that is here."""
        return sum(facts.size for facts in self.manifest(digest).values())

    def manifest(self, digest: str) -> dict[str, FileFacts]:
        """Return the facts of each file of an entry by relative path.

        Raises:
            ModelFilesError: There is no such entry, or its manifest is damaged.
        """
        try:
            stored = json.loads((self._entry(digest) / "manifest.json").read_bytes())
            return {name: FileFacts(size=facts["size"], sha256=facts["sha256"]) for name, facts in stored.items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ModelFilesError(
                f"The store {self.root} holds no readable model {digest[:12]} ({type(error).__name__}).",
                next_step="Run the job again; a damaged model is fetched again.",
            ) from error

    def ensure(self, digest: str, fetch: Callable[[Path], None]) -> Path:
        """Return the folder with the verified files of a digest, fetching them where they are not here.

        Args:
            digest: From `ModelRef.digest`.
            fetch: Called with an empty folder to put the files in. At most once on this node, however many
                processes ask at the same time, as long as the file system's locks work.

        Raises:
            ModelFilesError: What was fetched is not the model, or the disk is full.
            EnvironmentProblem: The root cannot be used.
        """
        with self._explained():
            if self._is_sound(digest):
                return self.path(digest)
            with self.lock(digest):
                if not self._is_sound(digest):
                    self._publish(fetch, expected=digest)
            return self.path(digest)

    def find(self, digest: str) -> Path | None:
        """Return the folder with the verified files of a digest, or None; writes nothing."""
        with self._explained():
            return self.path(digest) if self._is_sound(digest) else None

    def admit(self, folder: Path) -> str:
        """Copy a model folder on this machine into the store and return its digest.

        Every byte of it is read, also when the model is here already: that is how a changed folder is noticed.

        Raises:
            ModelRefusedError: A link leaves the folder, or something in it is not a file.
            ModelFilesError: The folder cannot be read or changes while it is copied, or the disk is full.
        """
        with self._explained():
            self._prepare()
            self._require_room(folder)
        facts = hash_files(folder)
        digest = combine(facts)
        size = sum(each.size for each in facts.values())

        def copy(into: Path) -> None:
            free = shutil.disk_usage(into).free
            if size > free:
                raise OSError(errno.ENOSPC, f"{size} bytes wanted, {free} free")
            for name, source in model_files(folder).items():
                (into / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, into / name)

        self.ensure(digest, copy)
        return digest

    def _require_room(self, folder: Path) -> None:
        """Refuse a folder that is larger than what is free, unless a model of its size is here; reads no file of it."""
        size = sum(path.stat().st_size for path in model_files(folder).values())
        free = shutil.disk_usage(self.root).free
        if size > free and not any(size == found for found in self._sizes()):
            raise OSError(errno.ENOSPC, f"{size} bytes wanted, {free} free")

    def _sizes(self) -> Iterator[int]:
        """Bytes of the models that are here, without damaged ones."""
        for manifest in self._models.glob("*/*/manifest.json"):
            with suppress(ModelFilesError, ValueError):
                yield self.size_bytes(manifest.parent.name)

    def receive(self, fetch: Callable[[Path], None]) -> str:
        """Fetch a model whose digest is not known yet into the store and return its digest.

        Raises:
            ModelRefusedError: What was fetched holds links or things that are not files.
            ModelFilesError: The disk is full.
        """
        with self._explained():
            self._prepare()
            return self._publish(fetch)

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold a lock of this node by name; it only saves work, see `held`. A shared store has none."""
        self._prepare()
        if self._shared:  # another user's lock could not be opened
            yield
            return
        with self._explained(), held(self._models / "locks" / f"{name}.lock", wait_seconds=_LOCK_SECONDS):
            yield

    @contextmanager
    def working_folder(self) -> Iterator[Path]:
        """Give a new empty folder beside the entries, and remove it afterwards."""
        self._prepare()
        folder = self._models / "tmp" / uuid.uuid4().hex
        folder.mkdir(mode=self._mode)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @property
    def _mode(self) -> int:
        return 0o777 if self._shared else 0o700

    def _entry(self, digest: str) -> Path:
        if not _DIGEST.fullmatch(digest):
            raise ValueError(f"not a digest: {digest!r}")
        return self._models / "sha256" / digest

    def _is_sound(self, digest: str) -> bool:
        """Compare an entry with its manifest, and the first time in this process with its digest."""
        entry = self._entry(digest)
        if not entry.is_dir():
            return False
        if not self._shared:
            refuse_foreign(self.root)
        try:
            if not self._shared and not is_ours(self.root, entry):
                return False
            if entry not in this_process().hashed_entries:
                if combine(hash_files(entry / "model")) != digest or combine(self.manifest(digest)) != digest:
                    return False
                this_process().hashed_entries.add(entry)
                return True
            manifest, files = self.manifest(digest), model_files(entry / "model")
            return manifest.keys() == files.keys() and all(
                path.stat().st_size == manifest[name].size for name, path in files.items()
            )
        except (OSError, SparkInferError):
            return False

    def _discard(self, digest: str) -> None:
        entry = self._entry(digest)
        this_process().hashed_entries.discard(entry)
        # Aside first: another process sees either the whole damaged entry or none, never half of one.
        aside = self._models / "tmp" / f"damaged-{uuid.uuid4().hex}"
        with suppress(FileNotFoundError):
            entry.rename(aside)
            logger.warning("The stored model %s was damaged; it is thrown away and fetched again.", digest[:12])
        with suppress(OSError):  # of a link
            aside.unlink()
        shutil.rmtree(aside, ignore_errors=True)

    def _publish(self, fetch: Callable[[Path], None], expected: str | None = None) -> str:
        with self.working_folder() as folder:
            model = folder / "model"
            model.mkdir(mode=self._mode)
            facts = fetched(fetch, model)
            digest = combine(facts)
            if expected not in (None, digest):
                raise ModelFilesError(
                    f"The fetched files are not model {str(expected)[:12]}: their digest is {digest[:12]}.",
                    next_step="The source changed or was cut short; run the job again.",
                )
            tidy(model, facts, private=not self._shared)
            stored = {name: {"size": each.size, "sha256": each.sha256} for name, each in facts.items()}
            opener = None if self._shared else private
            with open(folder / "manifest.json", "x", encoding="utf-8", opener=opener) as file:
                json.dump(stored, file, indent=1)
            flush(folder)
            self._place(folder, digest)
        return digest

    def _place(self, folder: Path, digest: str) -> None:
        entry = self._entry(digest)
        for _ in range(2):
            try:
                folder.rename(entry)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                    raise
                # A damaged entry, or somebody was faster. Theirs is as good, if it is sound.
                if self._is_sound(digest):
                    return
                self._discard(digest)
            else:
                sync(entry.parent)
                this_process().hashed_entries.add(entry)
                return
        raise ModelFilesError(
            f"Model {digest[:12]} cannot be stored: another process keeps writing a damaged copy of it.",
            next_step=f"Stop the other jobs that use {self.root}, and run again.",
        )

    def _prepare(self) -> None:
        try:
            self.root.mkdir(mode=self._mode, parents=True, exist_ok=True)
            if not self._shared:
                refuse_foreign(self.root)
            for folder in (self._models, *(self._models / name for name in _WORK)):
                folder.mkdir(mode=self._mode, exist_ok=True)
        except OSError as error:
            if error.errno in _FULL:
                raise
            raise EnvironmentProblem(
                f"The model store {self.root} cannot be made: {error.strerror}.",
                next_step="Set SPARK_INFER_HOME to a folder that this user can write.",
            ) from error
        remove_leftovers(self._models / "tmp")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            details = []
            with suppress(OSError):
                usage = shutil.disk_usage(self.root)
                details = [f"free: {usage.free} of {usage.total} bytes", f"system: {error.strerror or error}"]
            full = error.errno in _FULL
            raise ModelFilesError(
                f"The model store {self.root} is full." if full else f"The model store {self.root} cannot be used.",
                details=details,
                next_step="Free space there, or set SPARK_INFER_HOME to a folder on a larger disk."
                if full
                else "Check the disk, or set SPARK_INFER_HOME to another folder.",
            ) from error
