"""Load a job file: YAML with `${NAME}` and overrides, checked whole, every error with its line.

PyYAML composes nodes; `_Reading` makes plain values of them and knows their places; `checked` makes the settings.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from spark_infer.config.annotations import alternatives, fields_below, groups, item_of
from spark_infer.config.job import JobConfig
from spark_infer.config.job_params import REFERENCE, SQL_TEXTS, JobParam, resolved, spelled
from spark_infer.config.secrets import hide
from spark_infer.config.validate_options import Keys, Place, Problem, checked
from spark_infer.config.yaml_nodes import CORE_TAGS, CORRECT, compose, plain_value, read_yaml, shape_of, texts_in
from spark_infer.errors import ConfigError
from spark_infer.printable import quoted

MOST_PROBLEMS_SHOWN = 40
MAX_VALUES = 10_000
MAX_DEPTH = 40

_REFERENCE = re.compile(r"\$\$\{|\$\{([^}]*)\}?")
_INSIDE = re.compile(r"(secret:)?([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)

_FIELDS = {tuple(path.split(".")): field for path, field in fields_below(JobConfig)}
_FREE = {
    path: alternatives(item_of(item, tuple) or item)
    for path, field in _FIELDS.items()
    if (item := item_of(field, dict)) is not None and not groups(item)
}
"""Mappings with keys of the user's own, and what their values, or the items of these, may be."""
_PLAIN_KEYS = {path: key for path, field in _FIELDS.items() for group in groups(field) if (key := group.plain_key)}


def load_job(
    path: str | Path,
    overrides: Sequence[str] = (),
    *,
    params: Mapping[str, Any] | None = None,
    needs_params: bool = True,
    environ: Mapping[str, str] | None = None,
) -> JobConfig:
    """Load and check a job file.

    Relative paths in it are left as they are: they are relative to the current directory of the
    process that runs the job, not to the file.

    Args:
        path: The YAML file.
        overrides: Settings of the form ``score.batch_size=5000`` that replace the file's.
        params: Values of the job's parameters.
        needs_params: Whether each parameter must have a value; without it, a text with one that has none stays as it
            is, which is enough to look at the runs of a target.
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
    reading = _Reading(path, os.environ if environ is None else environ)
    root = read_yaml(Path(path))
    reading.take_params(root, overrides, params or {}, required=needs_params)
    values = reading.value(root)
    for override in overrides:
        reading.override(values, override)
    config, problems = checked(JobConfig, values, reading.places, reading.problems)
    if config is None:
        raise _refusal(path, problems, reading.secrets)
    _refuse_written_secrets(config, reading.secrets)
    return config.with_secrets(reading.secrets)


class _Reading:
    """Plain values of the nodes of a job file.

    Attributes:
        places: Where each value stands: the line of its key.
        secrets: From each value that the file declares secret to what is shown in its place.
        problems: What is wrong whatever the settings mean.
    """

    def __init__(self, path: str | Path, variables: Mapping[str, str]) -> None:
        self.places: dict[Keys, Place] = {}
        self.secrets: dict[str, str] = {}
        self.problems: list[Problem] = []
        self._path, self._variables, self._count = path, variables, 0
        self._params: dict[str, JobParam] | None = None

    def value(self, node: Node, path: Keys = (), key: Node | None = None) -> Any:
        """Return what a node holds, and note its place: the line of its key.

        Raises:
            ConfigError: Following the aliases leads to more values than a job can mean.
        """
        self._count += 1 + (len(node.value) if isinstance(node, MappingNode) else 0)
        if self._count > MAX_VALUES:
            what = f"{self._path}: more than {MAX_VALUES} values once its aliases are followed"
            raise ConfigError(what, next_step="Write the values out instead of repeating aliases.")
        self.places[path] = place_of(key or node, node)
        if path == ("params",) and self._params is not None:
            return dict(self._params)
        if len(path) > MAX_DEPTH:
            self._note(path, f"nested deeper than {MAX_DEPTH} levels")
        elif node.tag not in CORE_TAGS:
            self._note(path, f"the tag {quoted(node.tag)} has no meaning in a job file")
        elif isinstance(node, MappingNode):
            return {name: self.value(each, (*path, name), at) for name, at, each in self._entries(node, path)}
        elif isinstance(node, SequenceNode):
            return [self.value(each, (*path, index)) for index, each in enumerate(node.value)]
        elif isinstance(node, ScalarNode):
            return self._scalar(node, path)
        return None

    def _entries(self, node: MappingNode, path: Keys) -> Iterator[tuple[str, Node, Node]]:
        first: dict[str, int] = {}
        for key, value in node.value:
            problem = ""
            if not isinstance(key, ScalarNode):
                problem = "a key must be text"
            elif key.value == "<<":
                problem = "a job file cannot merge mappings with `<<`; write the keys out"
            elif key.value in first:
                problem = f"duplicate key {quoted(key.value)}, first at line {first[key.value]}"
            else:
                first[key.value] = key.start_mark.line + 1
                yield key.value, key, value
            if problem:
                self._note(path, problem, place_of(key, key))

    def _scalar(self, node: ScalarNode, path: Keys) -> Any:
        """Return a number only where a mapping with free keys may hold one; else the text as it is written."""
        plain = plain_value(node)
        kinds = next((kinds for free, kinds in _FREE.items() if path[: len(free)] == free), [])
        if plain is None:
            if not node.value and type(None) in kinds:
                self._note(path, "expected a value or a list of values, got nothing; write null for the NULL partition")
            return None
        if _is_kept(plain, kinds):
            return plain
        if (whole := REFERENCE.fullmatch(node.value)) and path not in SQL_TEXTS:
            param = (self._params or {}).get(whole[1])
            if param is not None and _is_kept(param.value, kinds):
                return param.value
        text = _REFERENCE.sub(partial(self._referenced, path), node.value)
        if "\0" in text:
            self._note(path, "holds a NUL character")
        return text

    def _referenced(self, path: Keys, match: re.Match[str]) -> str:
        """Return what a reference stands for; a variable that is empty has its default, as in a shell."""
        if match[0] == "$${":
            return "${"
        if reference := REFERENCE.fullmatch(match[0]):
            return self._of_param(path, reference[1], match)
        inside = _INSIDE.fullmatch(match[1]) if match[0].endswith("}") else None
        if inside is None:
            self._note(path, f"{match[0][:40]!r} is not `${{NAME}}`; write `$${{` for a plain `${{`")
            return ""
        secret, name, default = inside.groups()
        value = self._variables.get(name)
        if value and secret:
            self.secrets[value] = f"${{secret:{name}}}"
        if value is None and default is None:
            self._note(path, f"the environment variable {name} is not set", unset=name)
        return value or default or ""

    def take_params(
        self, root: MappingNode, overrides: Sequence[str], given: Mapping[str, Any], *, required: bool
    ) -> None:
        """Give the job's parameters their values, before any text refers to them; each is used by some text."""
        entry = next((each for each in root.value if each[0].value == "params"), None)
        declared = None if entry is None else self.value(entry[1], ("params",), entry[0])
        if not isinstance(declared, dict | None):
            return  # which is an error of the key
        self._params, problems = resolved(declared or {}, given, required=required)
        used = {name for text in (*texts_in(root), *overrides) for name in REFERENCE.findall(text)}
        for name in self._params.keys() - problems.keys() - used:
            text = f"no text refers to it as ${{params.{name}}}; the model's own parameters go under `score.params`"
            problems[name] = text
        for name, problem in problems.items():
            place = self.places.get(("params", name), Place(f"--param {name}", math.inf, ""))
            self._note(("params", name), problem, place)

    def _of_param(self, path: Keys, name: str, match: re.Match[str]) -> str:
        if self._params is None:
            self._note(path, "a parameter cannot refer to another one")
            return ""
        if name in self._params and self._params[name].value is None:
            return match[0]  # what has no value is a problem already, or needs none
        try:
            return spelled(self._params, name, match.string, match.start(), path)
        except ValueError as error:
            self._note(path, str(error))
        return ""

    def override(self, values: dict[str, Any], text: str) -> None:
        """Replace or add one value by ``key=value``.

        The key is a dotted path. Below a mapping with free keys (`spark.conf`, `score.params`) the rest of the
        path is one key, dots and all. The value is YAML; nothing after the `=` means null.

        Raises:
            ConfigError: There is no `=`, the value is not YAML, the path leads into a list, or to a parameter.
        """
        dots, equals, value = text.partition("=")
        keys = tuple(dots.strip().split("."))
        if not equals or not all(keys):
            what = f"--set {dots[:60]!r}: expected key=value, with a dotted key"
            raise ConfigError(what, next_step="For example: --set score.batch_size=5000")
        name = f"--set {dots.strip() if dots.isprintable() else repr(dots.strip())}"
        if keys[0] == "params":
            what = f"{name}: a parameter has its value before the rest of the file is read"
            raise ConfigError(what, next_step="Give it with --param NAME=VALUE (`params` in Python).")
        node = compose(value, name) or compose("null", name)
        assert node is not None
        above = next((free for free in _FREE if keys[: len(free)] == free != keys), keys[:-1])
        path = (*above, ".".join(keys[len(above) :]))
        for end, key in enumerate(above, 1):
            at, below = above[:end], values.get(key)
            if isinstance(below, list):
                raise ConfigError(f"{name}: a list stands at {self.places[at].where}; give the whole list")
            if isinstance(below, str) and at in _PLAIN_KEYS:
                below = {_PLAIN_KEYS[at]: below}
                inner = (*at, _PLAIN_KEYS[at])
                self.places[inner] = self.places[at]
            values[key] = below if isinstance(below, dict) else {}
            values = values[key]
            self.places.setdefault(at, place_of(node, node))
        self.places = {each: place for each, place in self.places.items() if each[: len(path)] != path}
        self.problems = [each for each in self.problems if each.path[: len(path)] != path]
        values[path[-1]] = self.value(node, path)

    def _note(self, path: Keys, problem: str, place: Place | None = None, unset: str = "") -> None:
        self.problems.append(Problem(path, problem, (place or self.places[path],), unset))


def _is_kept(value: object, kinds: Sequence[object]) -> bool:
    """Whether a number or a truth value is kept, and not written as text."""
    return (isinstance(value, int) and (int in kinds or Any in kinds)) or (isinstance(value, float) and Any in kinds)


def place_of(key: Node, value: Node) -> Place:
    """Return where a key stands, and what its value is; an override has no line."""
    name, line = str(key.start_mark.name), key.start_mark.line + 1
    is_override = name.startswith("--set")
    return Place(name if is_override else f"{name}:{line}", math.inf if is_override else line, shape_of(value))


def _refusal(path: str | Path, problems: Sequence[Problem], secrets: Mapping[str, str]) -> ConfigError:
    next_step = CORRECT
    if all(unset := list(dict.fromkeys(problem.unset for problem in problems))):
        default = f"${{{unset[0]}:-value}}"
        next_step = f"Set {', '.join(unset)} in the environment of this command, or give a default: {default}."
    ordered = sorted(problems, key=lambda problem: problem.places[0].line)
    lines = list(dict.fromkeys(hide(_described(problem), secrets) for problem in ordered))
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
    target = config.target.model_dump(exclude={"path", "table", "format", "mode"})
    written = {"name": config.name} | {f"target.{key}": value for key, value in target.items()}
    written |= {f"params.{name}": value for name, value in config.shown_params.items()}
    problems = [
        f"{key}: {shown} would be written into the table or its history"
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
