"""Find pickles among a model's files by their content, whatever their names are; nothing is unpickled.

A file counts as a pickle where Python's unpickler may call what it names, and where that cannot be ruled out. Archives
(zip, tar, which PyTorch and NumPy write) and compressed files (which joblib writes) are looked into. The opcodes are
those of the standard library's `pickletools`, whose readers of arguments are stricter than the unpickler's.
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
_MOST_BYTES = 2**28
"""How much of a file that zlib compressed is looked at."""

_HEAD = 1024
_UNREADABLE = {b"\x04\x22\x4d\x18": "lz4", b"\x28\xb5\x2f\xfd": "zstd"}
_PROTOCOLS = tuple(bytes([0x80, protocol]) for protocol in range(6))
_WRITTEN_NAMES = frozenset({"GLOBAL", "INST"})
_NAMES = frozenset({"STACK_GLOBAL", "EXT1", "EXT2", "EXT4"})
_CALLS = frozenset({"REDUCE", "BUILD", "OBJ", "INST", "NEWOBJ", "NEWOBJ_EX"})


def pickles_in(folder: Path) -> list[str]:
    """Return the files of a model that are pickles or hold one, as paths relative to its folder.

    A file that cannot be looked into counts as one; its entry says why. Stops at the first pickle in a file.
    """
    found = []
    for path in _files(folder):
        with path.open("rb") as file:
            inside = next(_found_in(file, 0), None)
        if inside is not None:
            found.append(f"{path.relative_to(folder)}{inside[0]}")
    return found


def every_pickle(folder: Path) -> Iterator[tuple[str, IO[bytes] | None]]:
    """Yield each pickle among the files of a model, and where it is; None in place of what cannot be looked into.

    A file that is a pickle and an archive at once is both. Each is read from its beginning, before the next is yielded.
    """
    for path in _files(folder):
        with path.open("rb") as file:
            for place, pickled in _found_in(file, 0):
                yield f"{path.relative_to(folder)}{place}", pickled


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _found_in(file: IO[bytes], depth: int) -> Iterator[tuple[str, IO[bytes] | None]]:
    """Where in a file pickles are, empty for the file itself, and each of them; None where nobody can look."""
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
    try:
        members = _members(file, head)
        if depth < _MOST_DEPTH:
            for name, content in members:
                with content:
                    for place, pickled in _found_in(content, depth + 1):
                        yield f", {name}{place}" if name else place, pickled
        elif next(members, None) is not None:
            yield " (archives inside archives, which are not looked into)", None
    except Exception as error:  # whatever a damaged archive makes its reader raise; other readers are more lenient
        yield f" (cannot be looked into: {type(error).__name__})", None


def _members(file: IO[bytes], head: bytes) -> Iterator[tuple[str, IO[bytes]]]:
    """What a file packs: name and content."""
    file.seek(0)
    if head.startswith(b"\x93NUMPY"):
        # A .npy file of objects: a header, then a pickle.
        file.seek(8)
        header = file.read(int.from_bytes(file.read(2 if head[6] == 1 else 4), "little"))
        if b"O" in header:
            yield "", io.BytesIO(file.read())
    elif head.startswith(b"\x1f\x8b"):
        yield "", cast("IO[bytes]", gzip.GzipFile(fileobj=file))
    elif head.startswith(b"BZh"):
        yield "", bz2.BZ2File(file)
    elif head.startswith((b"\xfd7zXZ", b"\x5d\x00")):
        yield "", lzma.LZMAFile(file)  # noqa: SIM115 - closed by whoever looks inside
    elif len(head) > 1 and head[0] == 0x78 and (head[0] * 256 + head[1]) % 31 == 0:
        unpacking = zlib.decompressobj()
        yield "", io.BytesIO(unpacking.decompress(file.read(), _MOST_BYTES))
        if unpacking.unconsumed_tail:
            raise ValueError("larger than what is looked at")
    elif zipfile.is_zipfile(file) or head.startswith(b"PK\x03\x04"):  # whose list of members is at its end
        with zipfile.ZipFile(file) as archive:
            for name in archive.namelist():
                yield name, archive.open(name)
    elif _is_tar(file):
        with tarfile.open(fileobj=file, mode="r:") as tar:
            for member in tar:
                if (content := tar.extractfile(member)) is not None:
                    yield member.name, content


def _is_tar(file: IO[bytes]) -> bool:
    file.seek(0)
    try:
        tarfile.TarInfo.frombuf(file.read(512), "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    finally:
        file.seek(0)
    return True


def is_pickle(file: IO[bytes]) -> bool:
    """Whether the unpickler may call what it finds named in a file; further pickles may follow the first."""
    while (found := _calls(file)) is None:
        if not file.read(1):
            return False
        file.seek(-1, io.SEEK_CUR)
    return found


def _calls(file: IO[bytes]) -> bool | None:
    """Whether one pickle names something and calls it or ends with it; None where it ends without.

    Counts the values on the stack, of which text that only looks like opcodes has too few.
    """
    named, depth, marks, at = False, 0, 0, file.tell()
    try:
        for opcode, argument, _ in pickletools.genops(file):
            at = file.tell()
            taken = [item for item in opcode.stack_before if item is not pickletools.stackslice]
            if pickletools.markobject in taken:
                if not marks:
                    return False
                marks -= 1
            elif depth < len(taken) and not marks:
                return False
            else:
                depth -= len(taken)
            if opcode.name == "MARK":
                marks += 1
            else:
                depth += len(opcode.stack_after)
            named = named or opcode.name in _NAMES or (opcode.name in _WRITTEN_NAMES and _is_name(str(argument)))
            if named and opcode.name in _CALLS:
                return True
    except Exception:  # genops raises what its readers raise
        file.seek(at)
        return _may_be_read(file.read(1), file.readline(_HEAD))
    return True if named else None


def _may_be_read(code: bytes, line: bytes) -> bool:
    """Whether the unpickler may read an opcode and its argument that `pickletools` does not.

    It takes numbers in other bases and texts that are not ASCII; at all else that cannot be read both stop.
    """
    if code in (b"I", b"L"):
        try:
            int(line.decode().strip().removesuffix("L"), 0)
        except ValueError:
            return False
        return True
    return not line.isascii() and (code in (b"V", b"c", b"i") or (code == b"S" and line[:1] in (b"'", b'"')))


def _is_name(argument: str) -> bool:
    return all(part.isidentifier() for word in argument.split(" ") for part in word.split("."))
