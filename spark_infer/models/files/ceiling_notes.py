"""How many rows of a batch this node has memory for: a note beside the store, good for a week.

    <root>/models/ceilings/<key>   {"rows": 5000, "since": 1764000000}

The key is a hash of the model, of how it is loaded and of its device. A note that is lost or expired costs one batch
that runs out of memory again; one that expired may find more memory than there was.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from spark_infer.core.memory_ceiling import MemoryCeiling
from spark_infer.errors import EnvironmentProblem
from spark_infer.models.files.lock import held
from spark_infer.models.files.notes import read_note, write_note
from spark_infer.models.files.root import worker_root

_KIND = "ceilings"
_DAYS = 7
_SECONDS = _DAYS * 86_400
_WAIT_SECONDS = 60.0
"""How long a process waits for another one of this node that finds out how many rows there is memory for."""


def ceiling_on_this_node(
    key: Hashable, environ: Mapping[str, str], clock: Callable[[], float] = time.time
) -> MemoryCeiling:
    """Return what is known of a model's memory on this node; what becomes known is shared with other processes.

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

    def known() -> int | None:
        try:
            found = json.loads(read_note(root, _KIND, name) or b"null")
            rows, age = int(found["rows"]), clock() - found["since"]
        except (ValueError, TypeError, KeyError):
            return None
        return rows if rows > 0 and 0 <= age < _SECONDS else None

    return MemoryCeiling(known(), note, known=known, alone=lambda: _alone(root, name))


@contextmanager
def _alone(root: Path, name: str) -> Iterator[None]:
    """Hold the lock of a model's ceiling on this node, where there is a folder for it."""
    with ExitStack() as lock:
        with suppress(OSError):
            lock.enter_context(held(root / "models" / "locks" / f"ceiling-{name}.lock", wait_seconds=_WAIT_SECONDS))
        yield
