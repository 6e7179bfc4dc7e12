"""What an ONNX file says about itself: inputs, outputs, and the files that hold its weights.

Read from the bytes of the file, so that neither onnx nor onnxruntime is needed and no weight is loaded. The format is
protobuf (https://protobuf.dev/programming-guides/encoding/) with the fields of onnx.proto
(https://github.com/onnx/onnx/blob/main/onnx/onnx.proto).
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from spark_infer.errors import ModelRefusedError

Bytes: TypeAlias = bytes | mmap.mmap
_Span: TypeAlias = tuple[int, int]

# TensorProto.DataType, named as onnxruntime names element types.
_ELEMENTS = (
    *("?", "float", "uint8", "int8", "uint16", "int16", "int32", "int64", "string", "bool", "float16", "double"),
    *("uint32", "uint64", "complex64", "complex128", "bfloat16"),
)
_EXTERNAL = 1
_MAX_DEPTH = 32


@dataclass(frozen=True, kw_only=True)
class Port:
    """One input or output of a graph.

    Attributes:
        name: Its name.
        kind: Its type as onnxruntime spells it: ``tensor(float)``, ``seq(map(int64,tensor(float)))``.
        shape: Size of each dimension, None where it is open; None as a whole where the graph does not say.
    """

    name: str
    kind: str
    shape: tuple[int | None, ...] | None


@dataclass(frozen=True, kw_only=True)
class Graph:
    """The outside of a graph: what it takes and returns, and the files beside it that it reads."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    external: tuple[str, ...]


def port(name: str, kind: str, shape: Sequence[object] | None) -> Port:
    """Describe an input or output as onnxruntime tells of it; names of open dimensions are dropped."""
    sizes = None if shape is None else tuple(size if isinstance(size, int) and size >= 0 else None for size in shape)
    return Port(name=name, kind=kind, shape=sizes)


def read_graph(path: Path) -> Graph:
    """Read the outside of an ONNX file.

    Raises:
        ModelRefusedError: It cannot be read, or is no ONNX file.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _graph(data)
    except (ValueError, IndexError, RecursionError, OSError) as error:
        problem = error.strerror if isinstance(error, OSError) else None
        raise ModelRefusedError(
            f"The model's file {path.name!r} is no ONNX model ({problem or 'its bytes do not read as one'}).",
            next_step="log the model again with mlflow.onnx.log_model.",
        ) from error


def check_external(graph: Graph, path: Path, folder: Path) -> None:
    """Check that the files that hold a graph's weights lie in the model folder.

    Args:
        graph: The graph.
        path: Its ONNX file; the others are named relative to it.
        folder: The model folder.

    Raises:
        ModelRefusedError: A file is missing, or outside the folder.
    """
    root = folder.resolve()
    for location in graph.external:
        target = path.parent / location
        if Path(location).is_absolute() or not target.resolve().is_relative_to(root):
            raise ModelRefusedError(
                f"The ONNX file {path.name!r} reads weights from {location!r}, which is outside the model folder.",
                next_step="log the model again with mlflow.onnx.log_model; do not use a file you do not trust.",
            )
        if not target.is_file():
            raise ModelRefusedError(
                f"The ONNX file {path.name!r} keeps weights in {location!r}, and that file is not in the model folder.",
                details=["an ONNX model with external data is the .onnx file and the files it names"],
                next_step="log it again from onnx.load(path) where all its files lie, not by copying the .onnx file.",
            )


def _graph(data: Bytes) -> Graph:
    found: list[str] = []
    graph: _Span | None = None
    for number, value in _fields(data, (0, len(data))):
        if number == 7 and isinstance(value, tuple):
            graph = value
        elif number == 25 and isinstance(value, tuple):
            _walk_function(data, value, found)
    if graph is None:
        raise ValueError("no graph")
    weights = {
        _text(data, name)
        for kind in (5, 15)
        for tensor in _children(data, graph, kind)
        for name in (_children(data, tensor, 8) if kind == 5 else _sparse_names(data, tensor))
    }
    _walk_graph(data, graph, found, depth=0)
    # Initializers of old files are listed among the inputs too; they have values and need none.
    inputs = tuple(_port(data, span) for span in _children(data, graph, 11))
    return Graph(
        inputs=tuple(each for each in inputs if each.name not in weights),
        outputs=tuple(_port(data, span) for span in _children(data, graph, 12)),
        external=tuple(dict.fromkeys(found)),
    )


def _sparse_names(data: Bytes, span: _Span) -> Iterator[_Span]:
    for values in _children(data, span, 1):
        yield from _children(data, values, 8)


def _walk_graph(data: Bytes, span: _Span, found: list[str], *, depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise ValueError("graphs are nested too deep")
    for number, value in _fields(data, span):
        if not isinstance(value, tuple):
            continue
        if number == 5:
            _note_external(data, value, found)
        elif number == 15:
            for part in (1, 2):
                for tensor in _children(data, value, part):
                    _note_external(data, tensor, found)
        elif number == 1:
            _walk_node(data, value, found, depth=depth)


def _walk_function(data: Bytes, span: _Span, found: list[str]) -> None:
    for node in _children(data, span, 7):
        _walk_node(data, node, found, depth=0)


def _walk_node(data: Bytes, span: _Span, found: list[str], *, depth: int) -> None:
    for attribute in _children(data, span, 5):
        for number, value in _fields(data, attribute):
            if not isinstance(value, tuple):
                continue
            if number in (5, 10):
                _note_external(data, value, found)
            elif number in (6, 11):
                _walk_graph(data, value, found, depth=depth + 1)


def _note_external(data: Bytes, tensor: _Span, found: list[str]) -> None:
    entries: dict[str, str] = {}
    external = False
    for number, value in _fields(data, tensor):
        if number == 14:
            external = value == _EXTERNAL
        elif number == 13 and isinstance(value, tuple):
            texts = {field: _text(data, text) for field, text in _fields(data, value) if isinstance(text, tuple)}
            entries[texts.get(1, "")] = texts.get(2, "")
    if external:
        found.append(entries.get("location", ""))


def _port(data: Bytes, span: _Span) -> Port:
    name = next((_text(data, each) for each in _children(data, span, 1)), "")
    kind, shape = "", None
    for type_ in _children(data, span, 2):
        kind, shape = _type(data, type_, depth=0)
    return Port(name=name, kind=kind, shape=shape)


def _type(data: Bytes, span: _Span, *, depth: int) -> tuple[str, tuple[int | None, ...] | None]:
    if depth > _MAX_DEPTH:
        raise ValueError("types are nested too deep")
    for number, value in _fields(data, span):
        if not isinstance(value, tuple):
            continue
        inner = dict(_fields(data, value))
        if number == 1:
            shape = inner.get(2)
            sizes = tuple(_size(data, dim) for dim in _children(data, shape, 1)) if isinstance(shape, tuple) else None
            return f"tensor({_element(inner.get(1))})", sizes
        below = inner.get(2 if number == 5 else 1)
        told = _type(data, below, depth=depth + 1)[0] if isinstance(below, tuple) else ""
        if number == 4:
            return f"seq({told})", None
        if number == 5:
            return f"map({_element(inner.get(1))},{told})", None
        return f"optional({told})", None
    return "", None


def _element(code: object) -> str:
    return _ELEMENTS[code] if isinstance(code, int) and code < len(_ELEMENTS) else "?"


def _size(data: Bytes, span: _Span) -> int | None:
    for number, value in _fields(data, span):
        if number == 1 and isinstance(value, int):
            return value if value < 2**63 else None
    return None


def _children(data: Bytes, span: _Span, number: int) -> Iterator[_Span]:
    for found, value in _fields(data, span):
        if found == number and isinstance(value, tuple):
            yield value


def _text(data: Bytes, span: _Span) -> str:
    return data[span[0] : span[1]].decode()


def _fields(data: Bytes, span: _Span) -> Iterator[tuple[int, int | _Span]]:
    """Yield the number of each field of a message, and its value: a number, or where its bytes lie."""
    position, end = span
    while position < end:
        tag, position = _varint(data, position)
        kind = tag & 7
        if kind == 0:
            value, position = _varint(data, position)
            yield tag >> 3, value
            continue
        if kind == 2:
            size, position = _varint(data, position)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise ValueError(f"wire type {kind}")
        if size > end - position:
            raise ValueError("a field ends after its message")
        if kind == 2:
            yield tag >> 3, (position, position + size)
        position += size


def _varint(data: Bytes, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
    raise ValueError("a number of more than 64 bits")
