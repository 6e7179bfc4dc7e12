"""Find pickles among a model's files by their content, whatever their names are; nothing is unpickled.

A file counts as a pickle where Python's unpickler may call what it names, and where that cannot be ruled out. Archives
(zip, tar, which PyTorch and NumPy write) and compressed files (which joblib writes) are looked into.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO

from spark_infer.models.trust.archives import Allowance, NotLookedIntoError, members
from spark_infer.models.trust.pickle_opcodes import is_pickle

_MOST_DEPTH = 4
_HEAD = 1024
_UNREADABLE = {b"\x04\x22\x4d\x18": "lz4", b"\x28\xb5\x2f\xfd": "zstd"}
_PROTOCOLS = tuple(bytes([0x80, protocol]) for protocol in range(6))


def pickles_in(folder: Path) -> list[str]:
    """Return the files of a model that are pickles or hold one, as paths relative to its folder.

    A file that cannot be looked into counts as one; its entry says why. Stops at the first pickle in a file.
    """
    found = []
    for path in _files(folder):
        with path.open("rb") as file:
            inside = next(_found_in(file, Allowance(file), 0), None)
        if inside is not None:
            found.append(f"{path.relative_to(folder)}{inside[0]}")
    return found


def every_pickle(folder: Path) -> Iterator[tuple[str, IO[bytes] | None]]:
    """Yield each pickle among the files of a model, and where it is; None in place of what cannot be looked into.

    A file that is a pickle and an archive at once is both. Each is read from its beginning, before the next is yielded.
    """
    for path in _files(folder):
        with path.open("rb") as file:
            for place, pickled in _found_in(file, Allowance(file), 0):
                yield f"{path.relative_to(folder)}{place}", pickled


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _found_in(file: IO[bytes], allowance: Allowance, depth: int) -> Iterator[tuple[str, IO[bytes] | None]]:
    """Where in a file pickles are, empty for the file itself, and each of them; None where nobody can look."""
    file.seek(0)
    head = file.read(_HEAD)
    file.seek(0)
    if kind := _UNREADABLE.get(head[:4]):
        yield f" (compressed with {kind}, which is not looked into)", None
        return
    if head.startswith(b"ZF"):
        yield " (in an old format of joblib, which is not looked into)", None
        return
    if head.startswith(_PROTOCOLS) or is_pickle(file):
        file.seek(0)
        yield "", file
    packed = members(file, head, allowance)
    try:
        if depth < _MOST_DEPTH:
            for name, content in packed:
                with content:
                    for place, pickled in _found_in(content, allowance, depth + 1):
                        yield f", {name}{place}" if name else place, pickled
        elif next(packed, None) is not None:
            yield " (archives inside archives, which are not looked into)", None
    except NotLookedIntoError as error:
        yield f" (cannot be looked into: {error})", None
    except Exception as error:  # whatever a damaged archive makes its reader raise; other readers are more lenient
        yield f" (cannot be looked into: {type(error).__name__})", None
