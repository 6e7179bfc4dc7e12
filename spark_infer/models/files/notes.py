"""Notes beside the store's entries, one small file each: which digest something turned out to have.

    <root>/models/<kind>/<name>
    <root>/models/derived/<key>   the digest of what was made of a model, by what it was made from

The key is a hash of the recipe, the entry's digest one of its bytes; a note that is lost is made again.

A note leads to files that are loaded, so it counts only where nobody but this user can have written it. Whoever reads
one goes through the store before or after, which looks at the folders that it lies in.
"""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Callable
from pathlib import Path

from spark_infer.models.files.root import is_closed, is_foreign
from spark_infer.models.files.store import ModelStore
from spark_infer.runtime.private_files import private

_DERIVED = "derived"
_DIGEST = re.compile(r"[0-9a-f]{64}")


def read_note(root: Path, kind: str, name: str) -> bytes | None:
    """The content of a note; None where there is none, or where another user may have written it."""
    try:
        with open(_place(root, kind, name), "rb", opener=_without_links) as file:
            return None if is_foreign(os.fstat(file.fileno()), closed=is_closed(root)) else file.read()
    except OSError:
        return None


def write_note(root: Path, kind: str, name: str, content: bytes) -> None:
    """Write a note for this user alone, whatever the umask; the last one to write wins.

    Raises:
        OSError: It cannot be written.
    """
    place = _place(root, kind, name)
    for folder in (place.parent.parent, place.parent):
        folder.mkdir(mode=0o700, exist_ok=True)
    unfinished = place.with_name(f"{name}.{uuid.uuid4().hex}.tmp")
    try:
        with open(unfinished, "xb", opener=private) as file:
            file.write(content)
        unfinished.replace(place)
    finally:
        unfinished.unlink(missing_ok=True)


def _place(root: Path, kind: str, name: str) -> Path:
    return root / "models" / kind / name


def _without_links(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))


def derived(store: ModelStore, key: str, make: Callable[[Path], None]) -> str:
    """Return the digest of what was made for a key, making it where it is not in the store.

    Args:
        store: The node's store.
        key: Hex digest of everything that decides what is made.
        make: Fills an empty folder; at most once on this node, however many processes ask at the same time.

    Raises:
        ModelFilesError: The disk is full.
        EnvironmentProblem: The store cannot be used.
    """
    if not _DIGEST.fullmatch(key):
        raise ValueError(f"not a digest: {key!r}")
    found = _known(store, key)
    if found is not None:
        return found
    with store.lock(f"derived-{key}"):
        found = _known(store, key)
        if found is not None:
            return found
        digest = store.receive(make)
        write_note(store.root, _DERIVED, key, digest.encode())
        return digest


def _known(store: ModelStore, key: str) -> str | None:
    digest = (read_note(store.root, _DERIVED, key) or b"").decode("ascii", "replace")
    return digest if _DIGEST.fullmatch(digest) and store.find(digest) is not None else None
