"""How many rows of a batch this node has memory for: a note beside the store, good for a week.

    <root>/models/ceilings/<key>   {"rows": 5000, "since": 1764000000}

The key is a hash of the model, of how it is loaded and of its device. A note that is lost or expired costs one batch
that runs out of memory again; one that expired may find more memory than there was.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Hashable, Mapping
from contextlib import suppress

from spark_infer.core.memory_ceiling import MemoryCeiling
from spark_infer.errors import EnvironmentProblem
from spark_infer.models.files.notes import read_note, write_note
from spark_infer.models.files.root import worker_root

_KIND = "ceilings"
_DAYS = 7
_SECONDS = _DAYS * 86_400


def ceiling_on_this_node(
    key: Hashable, environ: Mapping[str, str], clock: Callable[[], float] = time.time
) -> MemoryCeiling:
    """Return what is known of a model's memory on this node; what becomes known is kept for other processes.

    Args:
        key: The model, how it is loaded, and its device; its `repr` stands for it.
        environ: The environment of a worker.
        clock: Seconds since 1970.
    """
    name = hashlib.sha256(repr(key).encode()).hexdigest()
    try:
        root = worker_root(environ)
    except EnvironmentProblem:
        return MemoryCeiling()

    def note(rows: int) -> None:
        with suppress(OSError):
            write_note(root, _KIND, name, json.dumps({"rows": rows, "since": int(clock())}).encode())

    try:
        found = json.loads(read_note(root, _KIND, name) or b"null")
        rows, age = int(found["rows"]), clock() - found["since"]
    except (ValueError, TypeError, KeyError):
        return MemoryCeiling(note=note)
    return MemoryCeiling(rows if rows > 0 and 0 <= age < _SECONDS else None, note)
