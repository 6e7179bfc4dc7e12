"""Bind the nodes of a job file to the schema in `spark_infer.config`, noting every problem with its line.

Groups are validated from the leaves up, so that a problem in one never hides a problem in another.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic.fields import FieldInfo
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from spark_infer.config import Frozen
from spark_infer.errors import nearest, nearest_names
from spark_infer.job.file.interpolation import expand
from spark_infer.job.file.shapes import (
    PLAIN_KEY,
    alternatives,
    annotation_of,
    choices,
    expected,
    item_of,
    place_of,
    scalars,
    sections,
    step_kind,
)
from spark_infer.job.file.validation import at, join, validated
from spark_infer.job.file.yamltext import CORE_TAGS, plain_value, quoted, shape_of

MAX_VALUES = 10_000
MAX_DEPTH = 40

Section = TypeVar("Section", bound=Frozen)


class TooLargeError(Exception):
    """Following the aliases of the file leads to more values than a job can mean."""


class _Reported(Exception):
    """This value is already reported; what contains it cannot be made."""


@dataclass
class Binding:
    """One reading of a job file.

    Attributes:
        variables: The environment that `${NAME}` is looked up in.
        secrets: From each value that the file declares secret to what is shown in its place.
        problems: A node and a sentence for each problem, in the order they were found.
        unset: The variables that are not set, once for each problem of that kind.
    """

    variables: Mapping[str, str]
    secrets: dict[str, str] = field(default_factory=dict)
    problems: list[tuple[Node, str]] = field(default_factory=list)
    unset: list[str] = field(default_factory=list)
    _values: int = 0

    def bind(self, node: Node, model: type[Section]) -> Section | None:
        """Make the settings; None where there are problems.

        Raises:
            TooLargeError: Aliases blow the file up beyond what a job can mean.
        """
        try:
            made = self._section(node, model, "", 0)
        except _Reported:
            return None
        return None if self.problems else made

    def _section(self, node: Node, model: type[Section], path: str, depth: int) -> Section:
        """Make one group of settings from a mapping, or from the plain value that stands for it."""
        self._count(node, path, depth)
        entries: dict[str, Node]
        if isinstance(node, ScalarNode) and model in PLAIN_KEY:
            entries = {PLAIN_KEY[model]: node}
        elif isinstance(node, MappingNode):
            entries = dict(self._known(node, model, path))
        else:
            raise self._bad(node, path, f"expected a mapping of keys, got {shape_of(node)}")
        return self._validated(node, model, path, entries, depth)

    def _validated(self, node: Node, model: type[Section], path: str, entries: dict[str, Node], depth: int) -> Section:
        values: dict[str, object] = {}
        failed: set[str] = set()
        for name, value in entries.items():
            try:
                about = model.settings()[name]
                if not _left_empty(value, about):
                    values[name] = self._value(value, annotation_of(about), join(path, name), depth + 1)
            except _Reported:
                failed.add(name)
        made, problems = validated(node, model, path, values, entries, failed)
        self.problems += problems
        if made is None:
            raise _Reported
        return made

    def _known(self, node: MappingNode, model: type[Frozen], path: str) -> Iterator[tuple[str, Node]]:
        """Yield the entries of a mapping that the schema knows; a misspelt key counts as the key it is like."""
        names = list(model.settings())
        present = {str(key.value) for key, _ in node.value}
        for name, key, value in self._entries(node, path):
            if name in names:
                yield name, value
                continue
            near = nearest_names(name, names, most=1)
            hint = nearest(name, near) or place_of(name, path) or f"; the keys are {', '.join(names)}"
            self.problems.append((key, f"unknown key {quoted(name)}{f' in {path}' if path else ''}{hint}"))
            if near and near[0] not in present:
                present.add(near[0])
                yield near[0], value

    def _entries(self, node: MappingNode, path: str) -> Iterator[tuple[str, Node, Node]]:
        first: dict[str, Node] = {}
        for key, value in node.value:
            self._count(key, path, 0)
            if not isinstance(key, ScalarNode):
                self.problems.append((key, at(path, "a key must be text")))
            elif key.value == "<<":
                self.problems.append((key, at(path, "a job file cannot merge mappings with `<<`; write the keys out")))
            elif key.value in first:
                before = first[key.value].start_mark.line + 1
                self.problems.append((key, at(path, f"duplicate key {quoted(key.value)}, first at line {before}")))
            else:
                first[key.value] = key
                yield key.value, key, value

    def _value(self, node: Node, annotation: object, path: str, depth: int) -> object:
        self._count(node, path, depth)
        if node.tag not in CORE_TAGS:
            raise self._bad(node, path, f"the tag {quoted(node.tag)} has no meaning in a job file")
        if isinstance(node, ScalarNode) and plain_value(node) is None and type(None) in alternatives(annotation):
            return None
        if Any in alternatives(annotation):
            return self._anything(node, path, depth)
        groups = sections(annotation)
        if len(groups) > 1:
            return self._step(node, groups, path, depth)
        if groups:
            return self._section(node, groups[0], path, depth)
        if isinstance(node, ScalarNode) and scalars(annotation):
            return self._scalar(node, annotation, path)
        if (item := item_of(annotation, tuple)) is not None and (listed := _listed(node, item)) is not None:
            named = isinstance(node, SequenceNode)
            return self._all(
                self._later(each, item, f"{path}[{index}]" if named else path, depth)
                for index, each in enumerate(listed)
            )
        if (item := item_of(annotation, dict)) is not None and isinstance(node, MappingNode):
            entries = list(self._entries(node, path))
            values = self._all(self._later(value, item, join(path, name), depth) for name, _, value in entries)
            return dict(zip((name for name, _, _ in entries), values, strict=True))
        raise self._bad(node, path, f"expected {expected(annotation)}, got {shape_of(node)}")

    def _later(self, node: Node, annotation: object, path: str, depth: int) -> object:
        """Return the value, or the `_Reported` that was reported in its place."""
        try:
            return self._value(node, annotation, path, depth + 1)
        except _Reported as bad:
            return bad

    def _all(self, values: Iterable[object]) -> tuple[object, ...]:
        made = tuple(values)
        if any(isinstance(value, _Reported) for value in made):
            raise _Reported
        return made

    def _scalar(self, node: ScalarNode, annotation: object, path: str) -> object:
        kinds = scalars(annotation)
        plain = plain_value(node)
        if plain is None or (isinstance(plain, bool) and not {str, bool} & set(kinds) and not choices(annotation)):
            raise self._bad(node, path, f"expected {expected(annotation)}, got {shape_of(node)}")
        if {int, bool} <= set(kinds) and isinstance(plain, int):
            return plain
        # Text as it is written: `version: 1.10`, `conf: {a: true}` and a label map's `0: no` keep their letters.
        text = self._text(node, path)
        listed = item_of(annotation, tuple) is not None and text not in choices(annotation)
        return (text,) if listed else text

    def _text(self, node: Node, path: str) -> str:
        """Replace `${NAME}`, and remember what `${secret:NAME}` stands for."""
        expanded = expand(str(node.value), self.variables)
        self.secrets |= expanded.secrets
        problems = [*expanded.problems, *(["holds a NUL character"] if "\0" in expanded.text else [])]
        if problems:
            self.problems += [(node, at(path, problem)) for problem in problems]
            self.unset += expanded.unset
            raise _Reported
        return expanded.text

    def _anything(self, node: Node, path: str, depth: int) -> object:
        if isinstance(node, MappingNode):
            entries = list(self._entries(node, path))
            values = self._all(self._later(value, Any, join(path, name), depth) for name, _, value in entries)
            return dict(zip((name for name, _, _ in entries), values, strict=True))
        if isinstance(node, SequenceNode):
            listed = enumerate(node.value)
            return list(self._all(self._later(each, Any, f"{path}[{index}]", depth) for index, each in listed))
        plain = plain_value(node)
        return self._text(node, path) if isinstance(plain, str) else plain

    def _step(self, node: Node, groups: list[type[Frozen]], path: str, depth: int) -> Frozen:
        """Make a step written as `{kind: …}`, as `threshold: {…}` or as plain `module:function`."""
        by_kind = {step_kind(group): group for group in groups}
        if isinstance(node, ScalarNode):
            return self._section(node, by_kind["function"], path, depth)
        if not isinstance(node, MappingNode):
            raise self._bad(node, path, f"expected a step: {', '.join(by_kind)}; got {shape_of(node)}")
        keys = {str(key.value): (key, value) for key, value in node.value if isinstance(key, ScalarNode)}
        key, value = keys.get("kind") or next(iter(keys.values()), (node, node))
        by_key = "kind" not in keys and len(node.value) == 1
        kind = str(key.value if by_key else value.value)
        if kind in by_kind:
            return self._section(value if by_key else node, by_kind[kind], join(path, kind), depth)
        if by_key or "kind" in keys:
            hint = nearest(kind, by_kind) or f"; the steps are {', '.join(by_kind)}"
            raise self._bad(key, path, f"unknown step {quoted(kind)}{hint}")
        indented = next((f"; indent the keys of `{name}` below it" for name in keys if name in by_kind), "")
        raise self._bad(node, path, f"missing key 'kind', one of {', '.join(by_kind)}{indented}")

    def _count(self, node: Node, path: str, depth: int) -> None:
        self._values += 1
        if self._values > MAX_VALUES:
            raise TooLargeError(f"more than {MAX_VALUES} values once its aliases are followed")
        if depth > MAX_DEPTH:
            raise self._bad(node, path[:60], f"nested deeper than {MAX_DEPTH} levels")

    def _bad(self, node: Node, path: str, problem: str) -> _Reported:
        self.problems.append((node, at(path, problem)))
        return _Reported()


def _left_empty(node: Node, about: FieldInfo) -> bool:
    """Tell whether a group, list or mapping has nothing below its key, so that its default holds."""
    if not isinstance(node, ScalarNode) or plain_value(node) is not None or about.is_required():
        return False
    return bool(sections(about.annotation)) or about.get_default(call_default_factory=True) in ((), {})


def _listed(node: Node, item: object) -> list[Node] | None:
    """Return the items of a list; a plain value, or one step, stands for a list of itself."""
    if isinstance(node, SequenceNode):
        return list(node.value)
    blank = isinstance(node, ScalarNode) and node.value == "" and plain_value(node) is None
    alone = (isinstance(node, ScalarNode) and not blank) or (isinstance(node, MappingNode) and bool(sections(item)))
    return [node] if alone else None
