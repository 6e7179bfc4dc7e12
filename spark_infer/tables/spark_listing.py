"""How Spark lists a local folder of data: names that it passes over, and links.

A link that leads back to a folder in which it lies is not followed: that would never end.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

from pyarrow import fs

from spark_infer.errors import SourceError

_SUMMARIES = ("_metadata", "_common_metadata")


def is_hidden(name: str) -> bool:
    """Whether a file of this name is no data; Spark: HadoopFSUtils.shouldFilterOutPathName."""
    return name.startswith(".") or name.endswith("._COPYING_") or (name.startswith("_") and "=" not in name)


def is_hidden_folder(name: str) -> bool:
    """Whether nothing in a folder of this name is data: Spark looks into those named like Parquet's summary files."""
    return is_hidden(name) and not name.startswith(_SUMMARIES)


def has_hidden_loop(root: str) -> bool:
    """Whether such a link lies where Spark does not look, in a folder of a hidden name or by that name itself.

    Other links to folders are followed, as Hadoop's local file system does it.

    Raises:
        SourceError: There is such a link where Spark does look.
    """
    pending: list[tuple[str, tuple[str, ...]]] = [(root, (os.path.realpath(root),))]
    seen: set[str] = set()
    hidden = False
    while pending:
        folder, above = pending.pop()
        if (place := os.path.realpath(folder)) in seen:
            continue
        seen.add(place)
        for path, folders, _ in os.walk(folder):
            for name in folders:
                link = os.path.join(path, name)
                if not os.path.islink(link):
                    continue
                real = os.path.realpath(link)
                inside = (*above, os.path.realpath(path))
                if not _leads_back(real, inside):
                    pending.append((link, inside))
                elif not any(map(is_hidden_folder, os.path.relpath(link, root).split("/"))):
                    raise SourceError(
                        f"The folder {root} has a link that leads back into itself: {os.path.relpath(link, root)}.",
                        details=[f"it points to {real}, in which the link itself lies"],
                        next_step="remove the link, or name a folder without it.",
                    )
                else:
                    hidden = True
    return hidden


def without_loops(root: str) -> Iterator[Any]:
    """Yield what pyarrow knows of all that lies below a local folder, without looking into links that lead back."""
    pending: list[tuple[str, tuple[str, ...]]] = [(root, (os.path.realpath(root),))]
    while pending:
        folder, above = pending.pop()
        for entry in fs.LocalFileSystem().get_file_info(fs.FileSelector(folder, allow_not_found=True)):
            yield entry
            if entry.type == fs.FileType.Directory and not _leads_back(real := os.path.realpath(entry.path), above):
                pending.append((entry.path, (*above, real)))


def _leads_back(real: str, above: Sequence[str]) -> bool:
    return any(f"{each}/".startswith(f"{real.rstrip('/')}/") for each in above)
