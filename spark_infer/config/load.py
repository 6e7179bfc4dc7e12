"""Load a job file: YAML with `${NAME}` and overrides, checked whole, every error with its line.

PyYAML composes nodes; `_Reading` makes plain values of them and knows their places; `checked` makes the settings.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from spark_infer.config.annotations import fields_below, groups, item_of
from spark_infer.config.job import JobConfig
from spark_infer.config.secrets import hide
from spark_infer.config.validate_options import Keys, Place, Problem, checked
from spark_infer.config.yaml_nodes import CORE_TAGS, CORRECT, compose, plain_value, read_yaml, shape_of
from spark_infer.errors import ConfigError
from spark_infer.printable import quoted

MOST_PROBLEMS_SHOWN = 40
MAX_VALUES = 10_000
MAX_DEPTH = 40

_REFERENCE = re.compile(r"\$\$\{|\$\{([^}]*)\}?")
_INSIDE = re.compile(r"(secret:)?([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)


def load_job(path: str | Path, overrides: Sequence[str] = (), *, environ: Mapping[str, str] | None = None) -> JobConfig:
    """Load and check a job file.

    Relative paths in it are left as they are: they are relative to the current directory of the
    process that runs the job, not to the file.

    Args:
        path: The YAML file.
        overrides: Settings of the form ``score.batch_size=5000`` that replace the file's.
        environ: Where `${NAME}` is looked up; without it, the environment of the process. What
            `${secret:NAME}` takes from there is hidden by the config's ``repr`` and ``hide``.

    Returns:
        The checked job.

    Raises:
        ConfigError: With every problem of the file and the overrides, each with its line.

    Example:
        >>> load_job("conf/demo.yaml", ["score.batch_size=5000"]).score.batch_size
        5000
    """
    reading = _Reading(os.environ if environ is None else environ)
    try:
        values = reading.value(read_yaml(Path(path)))
        for override in overrides:
            reading.override(values, override)
        values = reading.expanded(values)
    except TooLargeError as error:
        raise ConfigError(f"{path}: {error}", next_step="Write the values out instead of repeating aliases.") from None
    config, problems = checked(JobConfig, values, reading.places, reading.problems)
    if config is None or reading.problems:
        raise _refusal(str(path), [*reading.problems, *problems], reading)
    _refuse_written_secrets(config, reading.secrets)
    return config.with_secrets(reading.secrets)


class TooLargeError(Exception):
    """Following the aliases of the file leads to more values than a job can mean."""


class _Reading:
    """Plain values of the nodes of a job file.

    Attributes:
        places: Where each value stands: the line of its key.
        secrets: From each value that the file declares secret to what is shown in its place.
        problems: What is wrong whatever the settings mean.
        unset: The variables that are not set, once for each problem of that kind.
    """

    def __init__(self, variables: Mapping[str, str]) -> None:
        self.places: dict[Keys, Place] = {}
        self.secrets: dict[str, str] = {}
        self.problems: list[Problem] = []
        self.unset: list[str] = []
        self._variables, self._count = variables, 0

    def value(self, node: Node, path: Keys = (), key: Node | None = None) -> Any:
        """Return what a node holds, and note its place: the line of its key."""
        self._limit()
        self.places[path] = place_of(key or node, node)
        if len(path) > MAX_DEPTH:
            self._note(path, f"nested deeper than {MAX_DEPTH} levels")
        elif node.tag not in CORE_TAGS:
            self._note(path, f"the tag {quoted(node.tag)} has no meaning in a job file")
        elif isinstance(node, MappingNode):
            return {name: self.value(each, (*path, name), at) for name, at, each in self._entries(node, path)}
        elif isinstance(node, SequenceNode):
            return [self.value(each, (*path, index)) for index, each in enumerate(node.value)]
        elif isinstance(node, ScalarNode):
            plain = plain_value(node)
            if plain is None and not node.value and path[:-1] in _LISTS:
                self._note(path, "expected a value or a list of values, got nothing; write null for the NULL partition")
            kept = next((types for start, types in _TYPED.items() if path[: len(start)] == start), ())
            return plain if plain is None or isinstance(plain, kept) else node.value
        return None

    def _entries(self, node: MappingNode, path: Keys) -> Iterator[tuple[str, Node, Node]]:
        first: dict[str, Node] = {}
        for key, value in node.value:
            self._limit()
            problem = ""
            if not isinstance(key, ScalarNode):
                problem = "a key must be text"
            elif key.value == "<<":
                problem = "a job file cannot merge mappings with `<<`; write the keys out"
            elif key.value in first:
                before = first[key.value].start_mark.line + 1
                problem = f"duplicate key {quoted(key.value)}, first at line {before}"
            else:
                first[key.value] = key
                yield key.value, key, value
            if problem:
                self._note(path, problem, place_of(key, key))

    def _limit(self) -> None:
        self._count += 1
        if self._count > MAX_VALUES:
            raise TooLargeError(f"more than {MAX_VALUES} values once its aliases are followed")

    def override(self, values: dict[str, Any], text: str) -> None:
        """Replace or add one value by ``key=value``.

        The key is a dotted path. Below a mapping with free keys (`spark.conf`, `score.params`) the rest of the
        path is one key, dots and all. The value is YAML; nothing after the `=` means null.

        Raises:
            ConfigError: There is no `=`, the value is not YAML, or the path leads into a list.
        """
        dots, equals, value = text.partition("=")
        dots = dots.strip()
        if not equals or not all(dots.split(".")):
            what = f"--set {text.partition('=')[0][:60]!r}: expected key=value, with a dotted key"
            raise ConfigError(what, next_step="For example: --set score.batch_size=5000")
        name = f"--set {dots if dots.isprintable() else repr(dots)}"
        node = compose(value, name) or compose("null", name)
        assert node is not None
        free = next((each for each in _FREE if dots.startswith(f"{each}.")), "")
        *above, last = (*free.split("."), dots[len(free) + 1 :]) if free else dots.split(".")
        for end, key in enumerate(above, 1):
            path, below = tuple(above[:end]), values.get(key)
            if isinstance(below, list):
                raise ConfigError(f"{name}: a list stands at {self.places[path].where}; give the whole list")
            if isinstance(below, str) and path in _PLAIN_KEYS:
                below = {_PLAIN_KEYS[path]: below}
                self.places[*path, _PLAIN_KEYS[path]] = self.places[path]
            values[key] = below if isinstance(below, dict) else {}
            values = values[key]
            self.places.setdefault(path, place_of(node, node))
        path = (*above, last)
        self.places = {each: place for each, place in self.places.items() if each[: len(path)] != path}
        values[last] = self.value(node, path)

    def expanded(self, value: Any, path: Keys = ()) -> Any:
        """Return the values with their `${NAME}` replaced."""
        if isinstance(value, dict):
            return {key: self.expanded(each, (*path, key)) for key, each in value.items()}
        if isinstance(value, list):
            return [self.expanded(each, (*path, index)) for index, each in enumerate(value)]
        if not isinstance(value, str):
            return value
        text = _REFERENCE.sub(lambda match: self._referenced(match, path), value)
        if "\0" in text:
            self._note(path, "holds a NUL character")
        return text

    def _referenced(self, match: re.Match[str], path: Keys) -> str:
        """Return what a reference stands for; a variable that is empty has its default, as in a shell."""
        if match[0] == "$${":
            return "${"
        inside = _INSIDE.fullmatch(match[1]) if match[0].endswith("}") else None
        if inside is None:
            self._note(path, f"{match[0][:40]!r} is not `${{NAME}}`; write `$${{` for a plain `${{`")
            return ""
        secret, name, default = inside.groups()
        value = self._variables.get(name)
        if value and secret:
            self.secrets[value] = f"${{secret:{name}}}"
        if value is None and default is None:
            self._note(path, f"the environment variable {name} is not set")
            self.unset.append(name)
        return value or default or ""

    def _note(self, path: Keys, problem: str, place: Place | None = None) -> None:
        self.problems.append(Problem(path, problem, (place or self.places[path],)))


def place_of(key: Node, value: Node) -> Place:
    """Return where a key stands, and what its value is; an override has no line."""
    name, line = str(key.start_mark.name), key.start_mark.line + 1
    is_override = name.startswith("--set")
    return Place(name if is_override else f"{name}:{line}", math.inf if is_override else line, shape_of(value))


def _kept_types(annotation: object) -> tuple[type, ...]:
    """Return the types that a key keeps: `conf: {a: 1.10}` is text as it is written, `params: {a: 1.10}` a number."""
    leaves = _leaves(annotation)
    return (int, float) if Any in leaves else (int,) if int in leaves and str in leaves else ()


def _leaves(annotation: object) -> list[object]:
    return [leaf for part in get_args(annotation) for leaf in _leaves(part)] or [annotation]


_FIELDS = {path: field.annotation for path, field in fields_below(JobConfig)}
_FREE = [path for path, annotation in _FIELDS.items() if item_of(annotation, dict) is not None]
_LISTS = [tuple(path.split(".")) for path in _FREE if item_of(item_of(_FIELDS[path], dict), tuple) is not None]
"""Mappings of columns to several values, where null is a value and nothing is none."""
_TYPED = {tuple(path.split(".")): types for path, annotation in _FIELDS.items() if (types := _kept_types(annotation))}
_PLAIN_KEYS = {
    tuple(path.split(".")): group.plain_key
    for path, annotation in _FIELDS.items()
    for group in groups(annotation)
    if group.plain_key
}


def _refusal(path: str, problems: Sequence[Problem], reading: _Reading) -> ConfigError:
    next_step = CORRECT
    if len(reading.unset) == len(problems):
        names = list(dict.fromkeys(reading.unset))
        default = f"${{{names[0]}:-value}}"
        next_step = f"Set {', '.join(names)} in the environment of this command, or give a default: {default}."
    ordered = sorted(problems, key=lambda problem: problem.places[0].line)
    lines = list(dict.fromkeys(hide(_described(problem), reading.secrets) for problem in ordered))
    if len(lines) == 1:
        return ConfigError(lines[0], next_step=next_step)
    more = len(lines) - MOST_PROBLEMS_SHOWN
    shown = lines[:MOST_PROBLEMS_SHOWN] + ([f"and {more} more"] if more > 0 else [])
    return ConfigError(f"{path}: {len(lines)} problems", details=shown, next_step=next_step)


def _described(problem: Problem) -> str:
    """Put the place before a problem, and the other places of one that concerns several keys behind it."""
    first, *others = problem.places
    also = dict.fromkeys(other.where for other in others if other.where != first.where)
    # An override's place is its key already.
    text = str(problem).removeprefix(first.where.removeprefix("--set ") + ": ")
    return f"{first.where}: {text}" + (f" (see also {', '.join(also)})" if also else "")


def _refuse_written_secrets(config: JobConfig, secrets: Mapping[str, str]) -> None:
    """Refuse `${secret:NAME}` in what is written into the table for others to read: names of columns, partitions."""
    written = config.target.model_dump(exclude={"path", "table", "format", "mode"}) | {"name": config.name}
    problems = [
        f"{'name' if key == 'name' else f'target.{key}'}: {shown} would be written into the table or its history"
        for key, value in written.items()
        for secret, shown in secrets.items()
        if shown in repr(hide(value, {secret: shown}))
    ]
    if problems:
        raise ConfigError(
            problems[0] if len(problems) == 1 else f"{len(problems)} settings write a secret into the table",
            details=problems if len(problems) > 1 else (),
            next_step="Names of columns and values of partitions are not secret: write ${NAME} in place of "
            "${secret:NAME}.",
        )
