"""Read a pickle's opcodes without running them, as leniently as any unpickler does.

The table of opcodes is that of the standard library's `pickletools`. Its readers of arguments are not used: they are
stricter than the unpickler, which takes numbers in other bases and ignores what follows a zero byte in one.
"""

from __future__ import annotations

import io
import pickletools
import re
from typing import IO

_OPCODES = {opcode.code.encode("latin-1"): opcode for opcode in pickletools.opcodes}
_WRITTEN_NAMES = frozenset({"GLOBAL", "INST"})
_NAMES = frozenset({"STACK_GLOBAL", "EXT1", "EXT2", "EXT4"})
_CALLS = frozenset({"REDUCE", "BUILD", "OBJ", "INST", "NEWOBJ", "NEWOBJ_EX"})
_NUMBERS = frozenset({"INT", "LONG", "GET", "PUT"})
_WHOLE = re.compile(rb"\s*[+-]?(0x[0-9a-f_]+|0o[0-7_]+|0b[01_]+|[0-9_]*)L?\s*", re.IGNORECASE)
_FLOAT = re.compile(rb"\s*[+-]?(nan|inf(inity)?|[0-9._]*(e[+-]?[0-9_]*)?)\s*", re.IGNORECASE)
_COUNTS = {
    pickletools.TAKEN_FROM_ARGUMENT1: 1,
    pickletools.TAKEN_FROM_ARGUMENT4: 4,
    pickletools.TAKEN_FROM_ARGUMENT4U: 4,
    pickletools.TAKEN_FROM_ARGUMENT8U: 8,
}
_LINE = 2**16
"""How much of a line is kept; a longer name counts as one."""


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
    named, depth, marks = False, 0, 0
    while (opcode := _OPCODES.get(file.read(1))) is not None:
        lines = _argument(opcode, file)
        if lines is None:
            return False
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
        named = named or opcode.name in _NAMES or (opcode.name in _WRITTEN_NAMES and all(map(_is_name, lines)))
        if named and opcode.name in _CALLS:
            return True
        if opcode.name == "STOP":
            return True if named else None
    return False


def _argument(opcode: pickletools.OpcodeInfo, file: IO[bytes]) -> list[bytes] | None:
    """Move behind an opcode's argument and return its lines; None where every unpickler stops."""
    if opcode.arg is None:
        return []
    size = opcode.arg.n
    if size == pickletools.UP_TO_NEWLINE:
        lines = [_line(file) for _ in range(2 if opcode.name in _WRITTEN_NAMES else 1)]
        return lines if all(_may_be_read(opcode.name, line) for line in lines) else None
    if size in _COUNTS:
        size = int.from_bytes(file.read(_COUNTS[size]), "little")
    if size < _LINE:
        return [] if len(file.read(size)) == size else None
    behind = file.tell() + size
    if behind > file.seek(0, io.SEEK_END):
        return None
    file.seek(behind)
    return []


def _line(file: IO[bytes]) -> bytes:
    """A line without what is beyond `_LINE`; empty at the end of the file."""
    line = rest = file.readline(_LINE)
    while rest and not rest.endswith(b"\n"):
        rest = file.readline(_LINE)
    return line


def _may_be_read(name: str, line: bytes) -> bool:
    """Whether an unpickler may read a line as an opcode's argument; it reads numbers up to a zero byte."""
    number = line.partition(b"\0")[0]
    if name in _NUMBERS:
        return _WHOLE.fullmatch(number) is not None
    if name == "FLOAT":
        return _FLOAT.fullmatch(number) is not None
    return line != b"" and (name != "STRING" or line[:1] in (b"'", b'"'))


def _is_name(line: bytes) -> bool:
    if len(line) == _LINE and not line.endswith(b"\n"):
        return True
    try:
        return all(part.isidentifier() for part in line[:-1].decode().split("."))
    except UnicodeDecodeError:
        return False
