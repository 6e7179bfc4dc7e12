"""What a part of the file system looks like, to see that nothing in it was read, changed or moved."""

from __future__ import annotations

import os
from pathlib import Path

Tree = dict[str, tuple[int, int, str | bytes]]


def tree(folder: Path) -> Tree:
    """All that lies below a folder by its path: mode, owner, and the content of a file or the end of a link."""
    found: Tree = {}
    for path in sorted(folder.rglob("*")):
        facts = path.lstat()
        content: str | bytes = ""
        if path.is_symlink():
            content = os.readlink(path)
        elif path.is_file():
            content = path.read_bytes()
        found[str(path.relative_to(folder))] = (facts.st_mode, facts.st_uid, content)
    return found
