"""Validate one group of settings, and say what pydantic finds wrong in our words, at the right node."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import TypeVar

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from spark_infer.config import Frozen
from spark_infer.errors import nearest
from spark_infer.job.file.shapes import annotation_of, choices, expected, item_of
from spark_infer.job.file.yamltext import quoted, shape_of

Section = TypeVar("Section", bound=Frozen)
Problem = tuple[Node, str]


def validated(
    node: Node,
    model: type[Section],
    path: str,
    values: Mapping[str, object],
    nodes: Mapping[str, Node],
    failed: Collection[str],
) -> tuple[Section | None, list[Problem]]:
    """Make a group of settings, or return what is wrong with it.

    Args:
        node: Of the whole group.
        model: What to make.
        path: Dotted path of the group.
        values: Of its keys.
        nodes: Where the values stand.
        failed: Keys whose problems are reported already; they have no value.
    """
    try:
        made = model.model_validate(values)
    except ValidationError as error:
        problems = list(_misfits(error, node, model, path, nodes, failed))
        failed = {*failed, *(str(each["loc"][0]) for each in error.errors(include_url=False) if each["loc"])}
    else:
        if not failed:
            return made, []
        problems = []
    return None, [*problems, *_broken_rules(node, model, path, values, failed)]


def join(path: str, name: str) -> str:
    """Append a key to a dotted path, quoted where it is no plain word."""
    word = name if re.fullmatch(r"[\w.-]+", name) else quoted(name)
    return f"{path}.{word}" if path else word


def at(path: str, problem: str) -> str:
    """Put the place before the problem; the top of the file has no name."""
    return f"{path}: {problem}" if path else problem


def _misfits(
    error: ValidationError,
    node: Node,
    model: type[Frozen],
    path: str,
    nodes: Mapping[str, Node],
    failed: Collection[str],
) -> Iterable[Problem]:
    """Say what is wrong with single keys, once for each value."""
    told: set[Node] = set()
    for each in error.errors(include_url=False):
        name = str(each["loc"][0]) if each["loc"] else ""
        if each["type"] == "missing" and name not in failed:
            about = model.settings()[name].description or ""
            yield node, at(path, f"missing key {name!r}: {about.rstrip('.')}")
        elif name in nodes and each["type"] != "missing":
            value, where, wanted = _inner(nodes[name], each["loc"][1:], join(path, name), model.settings()[name])
            if value not in told:
                told.add(value)
                yield value, at(where, _misfit(each, value, wanted))


def _misfit(error: ErrorDetails, value: Node, wanted: object) -> str:
    if error["type"] == "value_error":  # a rule of ours, with its own words
        return str(error["ctx"]["error"])
    words = choices(wanted) or choices(item_of(wanted, tuple))
    return f"expected {expected(wanted)}, got {shape_of(value)}" + (
        nearest(value.value, words) if isinstance(value, ScalarNode) else ""
    )


def _broken_rules(
    node: Node, model: type[Frozen], path: str, values: Mapping[str, object], failed: Collection[str]
) -> Iterable[Problem]:
    """Check the rules about several keys, which pydantic does only where each key is right in itself."""
    try:
        model.model_validate({name: value for name, value in values.items() if name not in failed})
    except ValidationError as error:
        for each in error.errors(include_url=False):
            message = str(each.get("ctx", {}).get("error", "does not fit"))
            # A rule says nothing while one of its keys is wrong in itself.
            if not each["loc"] and not any(re.search(rf"\b{name}\b", message) for name in failed):
                yield node, at(path, message)


def _inner(node: Node, loc: Iterable[int | str], path: str, about: FieldInfo) -> tuple[Node, str, object]:
    """Follow pydantic's location to the node that does not fit; return it, its path and what may stand there."""
    annotation = annotation_of(about)
    for part in loc:
        if isinstance(node, SequenceNode) and isinstance(part, int):
            node, path, annotation = node.value[part], f"{path}[{part}]", item_of(annotation, tuple)
        elif isinstance(node, MappingNode):
            value = next((value for key, value in node.value if key.value == part), None)
            if value is not None:
                node, path, annotation = value, join(path, str(part)), item_of(annotation, dict)
    return node, path, annotation
