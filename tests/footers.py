"""Parquet footers as other writers have them: taken apart, changed and put together again.

https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md; the numbers of the fields are in
https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

BYTE, I32, I64, BINARY, LIST, STRUCT = 3, 5, 6, 8, 9, 12
TRUE, FALSE = 1, 2

Struct = dict[int, tuple[int, Any]]
"""Number of a field to its kind and its value."""


def change(path: Path, edit: Callable[[Struct], None]) -> None:
    """Change a file's footer; the rest of the file stays."""
    data = path.read_bytes()
    length = int.from_bytes(data[-8:-4], "little")
    start = len(data) - 8 - length
    footer, _ = _struct(data[start:-8], 0)
    edit(footer)
    written = _written(footer)
    path.write_bytes(data[:start] + written + len(written).to_bytes(4, "little") + b"PAR1")


def elements(footer: Struct) -> list[Struct]:
    """The elements of the schema, the root first."""
    found: list[Struct] = footer[2][1][1]
    return found


def chunks(footer: Struct) -> list[Struct]:
    """The metadata of all column chunks."""
    groups: list[Struct] = footer[4][1][1]
    return [chunk[3][1] for group in groups for chunk in group[1][1][1]]


def annotate(
    element: Struct, number: int | None, detail: Struct | None = None, *, converted: int | None = None
) -> None:
    """Give an element a logical type (a field of the union `LogicalType`) and a converted one, in place of its own."""
    for field in (6, 7, 8, 10):
        element.pop(field, None)
    if number is not None:
        element[10] = (STRUCT, {number: (STRUCT, detail or {})})
    if converted is not None:
        element[6] = (I32, converted)


def of_old_writer(footer: Struct, created_by: str | None = None) -> None:
    """Put minimum and maximum where writers had them before orders were defined, and leave the orders out."""
    footer.pop(7, None)
    if created_by is not None:
        footer[6] = (BINARY, created_by.encode())
    for chunk in chunks(footer):
        statistics = chunk[12][1]
        for new, old in ((5, 1), (6, 2)):
            if new in statistics:
                statistics[old] = statistics.pop(new)


def _struct(data: bytes, at: int) -> tuple[Struct, int]:
    found: Struct = {}
    number = 0
    while head := data[at]:
        at += 1
        if head >> 4:
            number += head >> 4
        else:
            number, at = _signed(data, at)
        value, at = _value(data, at, head & 15)
        found[number] = (head & 15, value)
    return found, at + 1


def _value(data: bytes, at: int, kind: int) -> tuple[Any, int]:
    if kind in (TRUE, FALSE):
        return None, at
    if kind == BYTE:
        return data[at], at + 1
    if kind in (4, I32, I64):
        return _signed(data, at)
    if kind == 7:
        return data[at : at + 8], at + 8
    if kind == BINARY:
        length, at = _unsigned(data, at)
        return data[at : at + length], at + length
    if kind == STRUCT:
        return _struct(data, at)
    assert kind == LIST, kind
    count, inner = data[at] >> 4, data[at] & 15
    at += 1
    if count == 15:
        count, at = _unsigned(data, at)
    values = []
    for _ in range(count):
        # A boolean in a list is a byte.
        value, at = _value(data, at, BYTE if inner in (TRUE, FALSE) else inner)
        values.append(value)
    return (inner, values), at


def _unsigned(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        number |= (data[at] & 127) << shift
        at += 1
        if data[at - 1] < 128:
            return number, at
        shift += 7


def _signed(data: bytes, at: int) -> tuple[int, int]:
    number, at = _unsigned(data, at)
    return (number >> 1) ^ -(number & 1), at


def _written(struct: Struct) -> bytes:
    parts, last = [], 0
    for number, (kind, value) in sorted(struct.items()):
        step = number - last
        parts.append(bytes([step << 4 | kind]) if step < 16 else bytes([kind]) + _zigzag(number))
        parts.append(_bytes(kind, value))
        last = number
    return b"".join(parts) + b"\0"


def _bytes(kind: int, value: Any) -> bytes:
    if kind in (TRUE, FALSE):
        return b""
    if kind == BYTE:
        return bytes([value])
    if kind in (4, I32, I64):
        return _zigzag(value)
    if kind == 7:
        return bytes(value)
    if kind == BINARY:
        return _varint(len(value)) + bytes(value)
    if kind == STRUCT:
        return _written(value)
    inner, values = value
    head = bytes([len(values) << 4 | inner]) if len(values) < 15 else bytes([0xF0 | inner]) + _varint(len(values))
    return head + b"".join(_bytes(BYTE if inner in (TRUE, FALSE) else inner, each) for each in values)


def _varint(number: int) -> bytes:
    parts = bytearray()
    while number > 127:
        parts.append(number & 127 | 128)
        number >>= 7
    return bytes([*parts, number])


def _zigzag(number: int) -> bytes:
    return _varint(number << 1 if number >= 0 else -(number << 1) - 1)
