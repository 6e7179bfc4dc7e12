"""Find pickles among a model's files by their content, whatever their names are; nothing is unpickled.

A file counts as a pickle where Python's unpickler would import a name and call it, or come to an end with it. Archives
(zip, tar, which PyTorch and NumPy write) and compressed files (which joblib writes) are looked into. The opcodes are
those of the standard library's `pickletools`.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import pickletools
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

_MOST_DEPTH = 4
_HEAD = 1024
_UNREADABLE = {b"\x04\x22\x4d\x18": "lz4", b"\x28\xb5\x2f\xfd": "zstd"}
_WRITTEN_NAMES = frozenset({"GLOBAL", "INST"})
_NAMES = frozenset({"STACK_GLOBAL", "EXT1", "EXT2", "EXT4"})
_CALLS = frozenset({"REDUCE", "BUILD", "OBJ", "INST", "NEWOBJ", "NEWOBJ_EX"})


def pickles_in(folder: Path) -> list[str]:
    """Return the files of a model that are pickles or hold one, as paths relative to its folder.

    A file that cannot be looked into counts as one; its entry says why. Reads each file at most once, and stops at the
    first pickle in it.
    """
    found = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            inside = _pickle_in(file, 0)
        if inside is not None:
            found.append(f"{path.relative_to(folder)}{inside}")
    return found


def _pickle_in(file: IO[bytes], depth: int) -> str | None:
    """Where in a file a pickle is: empty for the file itself; None where there is none."""
    head = file.read(_HEAD)
    file.seek(0)
    if kind := _UNREADABLE.get(head[:4]):
        return f" (compressed with {kind}, which is not looked into)"
    if _is_pickle(file):
        return ""
    file.seek(0)
    if depth == _MOST_DEPTH:
        return " (archives inside archives, which are not looked into)" if _is_packed(head) else None
    try:
        return next((found for member in _members(file, head) if (found := _inside(member, depth)) is not None), None)
    except (OSError, EOFError, ValueError, RuntimeError, NotImplementedError, lzma.LZMAError, zlib.error) as error:
        return f" (cannot be looked into: {type(error).__name__})"
    except (zipfile.BadZipFile, tarfile.TarError):
        return None  # only begins like an archive; whoever opens it as one fails as well


def _inside(member: tuple[str, IO[bytes]], depth: int) -> str | None:
    name, content = member
    with content:
        found = _pickle_in(content, depth + 1)
    return None if found is None else f", {name}{found}" if name else found


def _is_packed(head: bytes) -> bool:
    return head.startswith((b"PK", b"\x1f\x8b", b"BZh", b"\xfd7zXZ")) or head[257:262] == b"ustar"


def _members(file: IO[bytes], head: bytes) -> Iterator[tuple[str, IO[bytes]]]:
    """What a file packs: name and content."""
    if head.startswith(b"\x93NUMPY"):
        # A .npy file of objects: a header, then a pickle.
        length = (
            int.from_bytes(head[8:10], "little") + 10 if head[6] == 1 else int.from_bytes(head[8:12], "little") + 12
        )
        file.seek(length)
        if b"O" in head[10:length]:
            yield "", io.BytesIO(file.read())
    elif head.startswith(b"PK"):
        with zipfile.ZipFile(file) as archive:
            for name in archive.namelist():
                yield name, archive.open(name)
    elif head[257:262] == b"ustar":
        with tarfile.open(fileobj=file) as tar:
            for member in tar:
                if (content := tar.extractfile(member)) is not None:
                    yield member.name, content
    elif head.startswith(b"\x1f\x8b"):
        yield "", cast("IO[bytes]", gzip.GzipFile(fileobj=file))
    elif head.startswith(b"BZh"):
        yield "", bz2.BZ2File(file)
    elif head.startswith((b"\xfd7zXZ", b"\x5d\x00\x00")):
        yield "", lzma.LZMAFile(file)  # noqa: SIM115 - closed by whoever looks inside
    elif len(head) > 1 and head[0] == 0x78 and (head[0] * 256 + head[1]) % 31 == 0:
        yield "", io.BytesIO(zlib.decompressobj().decompress(file.read()))


def _is_pickle(file: IO[bytes]) -> bool:
    """Whether the unpickler would import a name and use it, or come to an end with it, when it reads this."""
    named = False
    try:
        for opcode, argument, _ in pickletools.genops(file):
            named = named or opcode.name in _NAMES or (opcode.name in _WRITTEN_NAMES and _is_name(str(argument)))
            if named and opcode.name in _CALLS:
                return True
    except Exception:  # genops raises what its readers raise; a pickle ends with an opcode of its own
        return False
    return named


def _is_name(argument: str) -> bool:
    return all(part.isidentifier() for word in argument.split(" ") for part in word.split("."))
