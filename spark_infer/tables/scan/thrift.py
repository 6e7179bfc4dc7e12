"""Thrift's compact protocol, as far as a Parquet footer needs it: structs become dicts of field number to value.

https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

LIST, STRUCT = 9, 12
_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _SET, _MAP, _UUID = 1, 2, 3, 7, 8, 10, 11, 13
_INTEGERS = (4, 5, 6)
_MOST_DEPTH = 64
_VARINT_BITS = 64


def varint(data: bytes, at: int) -> tuple[int, int]:
    """Read a number of up to 64 bits in the encoding ULEB128; returns it and where the next value starts.

    Raises:
        ValueError: The bytes end too early, or the number has more bits.
    """
    number = 0
    for shift in range(0, _VARINT_BITS, 7):
        if at >= len(data):
            raise ValueError("ends too early")
        byte = data[at]
        at += 1
        number |= (byte & 127) << shift
        if byte < 128 and number < 2**_VARINT_BITS:
            return number, at
    raise ValueError("a number of more than 64 bits")


class Reader:
    """Reads values one after the other.

    Every method raises `ValueError` where the bytes are not what the protocol has there; time and memory grow with
    the bytes alone.

    Attributes:
        at: Where the next value starts.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    def fields(self) -> Iterator[tuple[int, int]]:
        """Yield number and kind of each field of a struct; the caller reads the value before it goes on."""
        number = 0
        while kind := self._byte():
            number = number + (kind >> 4) if kind >> 4 else self._signed()
            yield number, kind & 15

    def value(self, kind: int, depth: int = 0) -> Any:
        """Read the value of a field."""
        if kind in (_TRUE, _FALSE):
            return kind == _TRUE
        return self._read(kind, depth)

    def _read(self, kind: int, depth: int) -> Any:
        if depth > _MOST_DEPTH:
            raise ValueError("nested too deep")
        if kind in (_TRUE, _FALSE):  # inside a list or a map, where a boolean is a byte of its own
            return self._byte() == _TRUE
        if kind == _BYTE:
            return int.from_bytes(self._take(1), "little", signed=True)
        if kind in _INTEGERS:
            return self._signed()
        if kind == _DOUBLE:
            return struct.unpack("<d", self._take(8))[0]
        if kind == _BINARY:
            return self._take(self._unsigned())
        if kind in (LIST, _SET):
            count, inner = self.list_header()
            return [self._read(inner, depth + 1) for _ in range(count)]
        if kind == _MAP:
            return self._map(depth)
        if kind == STRUCT:
            return {number: self.value(inner, depth + 1) for number, inner in self.fields()}
        if kind == _UUID:
            return self._take(16)
        raise ValueError(f"unknown type {kind}")

    def list_header(self) -> tuple[int, int]:
        """Read how many elements a list has, and their kind."""
        head = self._byte()
        count = head >> 4
        return self._fitting(self._unsigned() if count == 15 else count), head & 15

    def _map(self, depth: int) -> list[tuple[Any, Any]]:
        """The pairs of a map, whose keys may be lists and structs."""
        count = self._fitting(self._unsigned())
        if not count:
            return []
        kinds = self._byte()
        return [(self._read(kinds >> 4, depth + 1), self._read(kinds & 15, depth + 1)) for _ in range(count)]

    def _fitting(self, count: int) -> int:
        """Refuse more elements than bytes are left: each takes at least one."""
        if count > len(self._data) - self.at:
            raise ValueError("ends too early")
        return count

    def _take(self, count: int) -> bytes:
        taken = self._data[self.at : self.at + count]
        if len(taken) < count:
            raise ValueError("ends too early")
        self.at += count
        return taken

    def _byte(self) -> int:
        return self._take(1)[0]

    def _unsigned(self) -> int:
        number, self.at = varint(self._data, self.at)
        return number

    def _signed(self) -> int:
        number = self._unsigned()
        return (number >> 1) ^ -(number & 1)
