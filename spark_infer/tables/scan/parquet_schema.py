"""The schema of a Parquet file as the file has it: pyarrow gives only its leaves, and its own types for them.

https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from spark_infer.tables.scan.thrift import LIST, Reader

_SCHEMA = 2
"""The number of the schema among the fields of a footer."""

_PHYSICAL = ("BOOLEAN", "INT32", "INT64", "INT96", "FLOAT", "DOUBLE", "BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY")
_MOST_DEPTH = 100
"""How deep columns may be nested, so that what looks at them level by level ends."""
_REPETITIONS = ("required", "optional", "repeated")
_UNITS = {1: "MILLIS", 2: "MICROS", 3: "NANOS"}

_LOGICAL = {
    1: "STRING",
    2: "MAP",
    3: "LIST",
    4: "ENUM",
    5: "DECIMAL",
    6: "DATE",
    7: "TIME",
    8: "TIMESTAMP",
    10: "INTEGER",
    11: "UNKNOWN",
    12: "JSON",
    13: "BSON",
    14: "UUID",
    15: "FLOAT16",
    16: "VARIANT",
    17: "GEOMETRY",
    18: "GEOGRAPHY",
}
_CONVERTED = (
    "STRING",
    "MAP",
    "MAP_KEY_VALUE",
    "LIST",
    "ENUM",
    "DECIMAL",
    "DATE",
    "TIME(MILLIS,true)",
    "TIME(MICROS,true)",
    "TIMESTAMP(MILLIS,true)",
    "TIMESTAMP(MICROS,true)",
    "INTEGER(8,false)",
    "INTEGER(16,false)",
    "INTEGER(32,false)",
    "INTEGER(64,false)",
    "INTEGER(8,true)",
    "INTEGER(16,true)",
    "INTEGER(32,true)",
    "INTEGER(64,true)",
    "JSON",
    "BSON",
    "INTERVAL",
)


@dataclass(frozen=True)
class Node:
    """A column, or a part of one.

    Attributes:
        name: Its name.
        repetition: ``required``, ``optional`` or ``repeated``.
        physical: The physical type; empty for a group.
        annotation: The logical type, such as ``TIMESTAMP(MICROS,true)`` (is it adjusted to UTC?) or
            ``INTEGER(8,false)`` (is it signed?); empty where there is none.
        length: Bytes of a value of fixed length.
        precision: Digits of a decimal.
        scale: Those behind its point.
        children: The fields of a group.
    """

    name: str
    repetition: str
    physical: str = ""
    annotation: str = ""
    length: int = 0
    precision: int = 0
    scale: int = 0
    children: tuple[Node, ...] = ()

    def leaves(self) -> Iterator[Node]:
        """Yield the parts that hold values, in the order of the file's columns."""
        if self.physical:
            yield self
        for child in self.children:
            yield from child.leaves()

    def __str__(self) -> str:
        """The type, as Parquet's documentation writes it."""
        physical = f"{self.physical}({self.length})" if self.length else self.physical or "group"
        annotation = f"DECIMAL({self.precision},{self.scale})" if self.annotation == "DECIMAL" else self.annotation
        return f"{physical} {annotation}".strip()


class SchemaReader:
    """Reads schemas out of footers; those that begin like an earlier one need not be parsed again."""

    def __init__(self) -> None:
        self._known: deque[tuple[bytes, tuple[Node, ...]]] = deque(maxlen=8)

    def read(self, footer: bytes) -> tuple[Node, ...]:
        """Return the columns of a file.

        Args:
            footer: The bytes of the footer's struct.

        Raises:
            ValueError: They hold no schema.
        """
        for start, columns in list(self._known):
            if footer.startswith(start):
                return columns
        reader = Reader(footer)
        for number, kind in reader.fields():
            if number == _SCHEMA and kind == LIST:
                elements = reader.value(kind)
                columns = _columns(elements)
                self._known.append((footer[: reader.at], columns))
                return columns
            reader.value(kind)
        raise ValueError("no schema")


def _columns(elements: list[dict[int, Any]]) -> tuple[Node, ...]:
    rest = iter(elements)
    try:
        root = _node(next(rest), rest)
    except (StopIteration, RuntimeError, KeyError, IndexError, AttributeError, TypeError) as error:
        raise ValueError("not a tree of columns") from error
    if next(rest, None) is not None:
        raise ValueError("columns outside the tree")
    return root.children


def _node(element: dict[int, Any], rest: Iterator[dict[int, Any]], depth: int = 0) -> Node:
    """Make a node of an element, and its children of those that follow."""
    if depth > _MOST_DEPTH:
        raise ValueError("columns nested too deep")
    count = element.get(5) or 0
    return Node(
        name=element[4].decode(),
        repetition=_REPETITIONS[element.get(3) or 0],
        physical=_PHYSICAL[element[1]] if 1 in element else "",
        annotation=_annotation(element),
        length=int(element.get(2) or 0),
        precision=_of_decimal(element, 2, 8),
        scale=_of_decimal(element, 1, 7),
        children=tuple([_node(next(rest), rest, depth + 1) for _ in range(count)]),
    )


def _annotation(element: dict[int, Any]) -> str:
    """The logical type, unless the older, converted type is another one: that one wins in parquet-java.

    https://github.com/apache/parquet-java/blob/master/parquet-hadoop/src/main/java/org/apache/parquet/format/converter/ParquetMetadataConverter.java
    """
    logical = _logical(element.get(10) or {})
    if 6 not in element:
        return logical
    converted = _CONVERTED[element[6]]
    is_time = converted.startswith("TIME")  # the older types do not know times that are not adjusted to UTC
    is_same = logical.partition(",")[0] == converted.partition(",")[0] if is_time else logical == converted
    return logical if is_same else converted


def _logical(union: dict[int, Any]) -> str:
    if not union:
        return ""
    ((number, detail),) = union.items()
    name = _LOGICAL.get(number, f"type {number}")
    if name in ("TIME", "TIMESTAMP"):
        (unit,) = detail[2]
        return f"{name}({_UNITS[unit]},{str(detail[1]).lower()})"
    if name in ("GEOMETRY", "GEOGRAPHY"):
        return f"{name}({detail.get(1, b'OGC:CRS84').decode()})"
    return f"{name}({detail[1]},{str(detail[2]).lower()})" if name == "INTEGER" else name


def _of_decimal(element: dict[int, Any], number: int, older: int) -> int:
    logical = (element.get(10) or {}).get(5)
    return int((element.get(older) if logical is None else logical.get(number)) or 0)
