"""Environment variables that hold for a while."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager


@contextmanager
def variables_set(given: Mapping[str, str], environ: MutableMapping[str, str] = os.environ) -> Iterator[None]:
    """Set environment variables for the block; afterwards they are as they were."""
    before = {name: environ.get(name) for name in given}
    environ.update(given)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                environ.pop(name, None)
            else:
                environ[name] = value
