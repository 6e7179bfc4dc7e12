"""What was made of a model: kept in the store like a model, and found again by what it was made from.

    <root>/models/derived/<key>   the digest of the entry

The key is a hash of the recipe, the entry's digest one of its bytes; the note between them may be lost, then it is
made again.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from spark_infer.models.files.notes import read_note, write_note
from spark_infer.models.files.store import ModelStore

_KIND = "derived"
_DIGEST = re.compile(r"[0-9a-f]{64}")


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
        write_note(store.root, _KIND, key, digest.encode())
        return digest


def _known(store: ModelStore, key: str) -> str | None:
    digest = (read_note(store.root, _KIND, key) or b"").decode("ascii", "replace")
    return digest if _DIGEST.fullmatch(digest) and store.find(digest) is not None else None
