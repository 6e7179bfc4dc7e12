"""YAML as a tree of nodes that know their line, with limits on what a job file may be.

PyYAML never turns the tree into Python objects: no tags, no dates, no `yes` that becomes true. Plain scalars resolve as
in the core schema of YAML 1.2 (https://yaml.org/spec/1.2.2/#103-core-schema), so `no`, `2024-01-01` and `010` are text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from spark_infer.config.secrets import without_secrets
from spark_infer.errors import ConfigError, nearest
from spark_infer.printable import printable, quoted

MAX_FILE_BYTES = 256 * 1024
LISTS_EVERY_KEY = "`python -m spark_infer.config.reference` lists every key."
CORRECT = f"Correct the job file; {LISTS_EVERY_KEY}"

_TAG = "tag:yaml.org,2002:"
CORE_TAGS = frozenset(_TAG + name for name in ("null", "bool", "int", "float", "str", "map", "seq"))


class _CoreLoader(yaml.SafeLoader):
    """Composes nodes only, with the scalars of YAML 1.2."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own attribute


for _name, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    # Twenty digits are beyond every integer type of a table; a longer run of digits stays text.
    ("int", r"[-+]?(?:0|[1-9][0-9]{0,19})", list("-+0123456789")),
    ("float", r"[-+]?(?:(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+)", list("-+.0123456789")),
):
    _CoreLoader.add_implicit_resolver(_TAG + _name, re.compile(rf"(?:{_pattern})\Z"), _first)


def read_yaml(path: Path) -> MappingNode:
    """Read a job file into a tree of nodes.

    Raises:
        ConfigError: The file is missing, too large, not UTF-8, not YAML, empty, or holds no mapping.
    """
    data = _read_bytes(path)
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ConfigError(f"{path}:1: the job file is UTF-16", next_step="Save it as UTF-8.")
    try:
        node = compose(data.decode("utf-8-sig"), str(path))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}:{line}: a byte is not UTF-8", next_step="Save the job file as UTF-8.") from None
    if isinstance(node, MappingNode):
        return node
    if node is None or shape_of(node) == "nothing":
        raise ConfigError(f"{path}:1: the job file is empty", next_step=CORRECT)
    what = f"a job file is a mapping with the keys model, source and target, not {shape_of(node)}"
    raise ConfigError(f"{path}:{node.start_mark.line + 1}: {what}", next_step=LISTS_EVERY_KEY)


def _read_bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        near = nearest(path.name, sorted(other.name for other in path.parent.glob("*.y*ml")))
        next_step = "" if path.is_absolute() else f"The path is relative to {Path.cwd()}."
        raise ConfigError(f"there is no job file {path}{near}", next_step=next_step) from None
    except IsADirectoryError:
        raise ConfigError(f"{path} is a folder, not a job file", next_step="Name the YAML file in it.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"the job file {quoted(str(path))} cannot be read: {reason}") from None
    if len(data) > MAX_FILE_BYTES:
        what = f"{path} is larger than {MAX_FILE_BYTES // 1024} KiB, which no job file needs"
        raise ConfigError(what, next_step="Check that this is the job file.")
    return data


def compose(text: str, name: str) -> Node | None:
    """Turn YAML text into nodes whose marks carry ``name``; None for text without any value.

    Raises:
        ConfigError: The text is not one YAML document.
    """
    where = name
    try:
        loader = _CoreLoader(text)
        loader.name = name
        node: Node | None = loader.get_single_node()
        return node
    except yaml.reader.ReaderError as error:
        where, problem = (
            f"{name}:{text.count(chr(10), 0, error.position) + 1}",
            "a control character is not allowed in YAML",
        )
    except yaml.MarkedYAMLError as error:
        line, problem = _syntax_problem(error, text)
        where = name if name.startswith("--set") else f"{name}:{line}"
    except (RecursionError, ValueError, OverflowError):
        # PyYAML recurses for each level, and lets `chr` fail on an escape that names no character.
        problem = "the YAML cannot be read: nested too deeply, or with an escape that names no character"
    raise ConfigError(f"{where}: {problem}", next_step=CORRECT)


def _syntax_problem(error: yaml.MarkedYAMLError, text: str) -> tuple[int, str]:
    """Return the line and what is wrong there."""
    mark = error.problem_mark or error.context_mark
    line, index = (1, 0) if mark is None else (mark.line + 1, mark.index)
    problem = error.problem or error.context or ""
    if text[max(0, index - 1) : index + 1] == "${":
        problem = 'between braces or brackets, `${NAME}` must be in quotes: {path: "${NAME}"}'
    elif "\\t" in problem and "\t" in "".join(text.splitlines()[line - 1 : line]):
        problem = "a tab stands where YAML wants spaces"
    elif "single document" in (error.context or "") + problem:
        problem = "a second document starts here; a job file holds one"
    return line, f"not YAML: {printable(problem[:200])}"


def plain_value(node: ScalarNode) -> str | int | float | bool | None:
    """Return the value of a scalar by the core schema; quoted text is always text."""
    text = str(node.value)
    kind = node.tag.removeprefix(_TAG)
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() == "true"
    try:
        return int(text) if kind == "int" else float(text) if kind == "float" else text
    except ValueError:  # an explicit tag, as in `!!int many`
        return text


def texts_in(root: Node) -> Iterator[str]:
    """Yield the text of each scalar that is a value, once, however many aliases lead to it."""
    seen, left = set[int](), [root]
    while left:
        node = left.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, ScalarNode):
            yield str(node.value)
        elif isinstance(node, MappingNode):
            left += [value for _, value in node.value]
        elif isinstance(node, SequenceNode):
            left += node.value


def shape_of(node: Node) -> str:
    """Say what a node holds, for an error: ``a list``, ``'abc'``, ``nothing``."""
    if not isinstance(node, ScalarNode):
        kind = "list" if isinstance(node, SequenceNode) else "mapping"
        return f"a {kind}" if node.value else f"an empty {kind}"
    if plain_value(node) is None:
        return "nothing"
    return quoted(without_secrets(str(node.value))) if node.value else "empty text"
