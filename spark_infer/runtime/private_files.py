"""Files that are made for the user of this process alone, whatever the umask."""

from __future__ import annotations

import os


def private(path: str, flags: int) -> int:
    """Open a file; one that is made has mode 0600, one that is there keeps its own. For the ``opener`` of `open`."""
    return os.open(path, flags, 0o600)
