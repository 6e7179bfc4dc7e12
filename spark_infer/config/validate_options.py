"""Settings made of plain values, or refused with every problem at once, in the same words for Python and a job file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from spark_infer.config.annotations import choices, expected, groups, inside, item_of, step_kind
from spark_infer.config.frozen import Frozen, KeysError
from spark_infer.errors import ConfigError, did_you_mean, nearest, nearest_names
from spark_infer.printable import quoted

Settings = TypeVar("Settings", bound=Frozen)
Keys = tuple[str | int, ...]
"""Keys and list indexes that lead to a value."""


class Place(NamedTuple):
    """Where a value stands in a job file: ``job.yaml:12``, its line (overrides come last), and what is written."""

    where: str
    line: float
    written: str


class Problem(NamedTuple):
    """What is wrong with the value at a path, where it stands in a file, and the variable that is not set, if any."""

    path: Keys
    text: str
    places: tuple[Place, ...] = ()
    unset: str = ""

    def __str__(self) -> str:
        return f"{dotted(self.path)}: {self.text}" if self.path else self.text


def validated(model: type[Settings], given: Mapping[str, Any], known: Sequence[str] = ()) -> Settings:
    """Make a group of settings of what a caller passed.

    Args:
        model: What to make.
        given: Its keys.
        known: What is known to be wrong.

    Raises:
        ConfigError: An unknown name, a missing one or a wrong value; all of them, without the values.
    """
    made, found = checked(model, given)
    if made is not None and not known:
        return made
    problems = [*known, *map(str, found)]
    raise ConfigError(
        f"{len(problems)} of the options given cannot be used.",
        details=problems,
        next_step="docs/job-file.md lists every option.",
    )


def checked(
    model: type[Settings],
    values: Mapping[str, Any],
    places: Mapping[Keys, Place] | None = None,
    known: Iterable[Problem] = (),
) -> tuple[Settings | None, list[Problem]]:
    """Make a group of settings, or return every problem.

    Pydantic says nothing of what stands below a key that it does not know, and misses the key that was meant: so
    misspelt keys get the names that they are like first, and other unknown ones are left out.

    Args:
        model: What to make.
        values: Its keys.
        places: Where each value was read.
        known: What is known to be wrong.
    """
    checking = _Checking(model, places or {}, known)
    values = checking.known_keys(values, model)
    try:
        made = model.model_validate(values)
    except ValidationError as error:
        made = None
        # The deepest first: `keep: [1, '']` is neither `all` nor a list of names because of its second item.
        for each in sorted(error.errors(include_url=False, include_input=False), key=lambda each: -len(each["loc"])):
            checking.note(each, values)
    return (None if checking.problems else made), checking.problems


class _Checking:
    """What was found wrong with some values so far."""

    def __init__(self, model: type[Frozen], places: Mapping[Keys, Place], known: Iterable[Problem]) -> None:
        self.problems = list(known)
        self._model, self._places = model, dict(places)
        self._wrong: set[Keys] = set()
        """The paths of what is wrong, and of all that contains it."""
        for problem in self.problems:
            self._mark(problem.path)

    def known_keys(self, value: Any, annotation: object, path: Keys = ()) -> Any:
        """Return a value with each misspelt key under the name that it is like, and without other unknown keys."""
        item = item_of(annotation, tuple)
        if isinstance(value, list | tuple):
            return [self.known_keys(each, item, (*path, index)) for index, each in enumerate(value)]
        named = item_of(annotation, dict)
        if isinstance(value, Mapping) and groups(named):
            return {name: self.known_keys(each, named, (*path, name)) for name, each in value.items()}
        found = groups(annotation) or groups(item)  # one step stands for a list of itself
        if not isinstance(value, Mapping) or not found:
            return value
        if len(found) > 1:
            short = len(value) == 1 and "kind" not in value
            kind: Any = next(iter(value)) if short else value.get("kind")
            found = [group for group in found if step_kind(group) == kind]
            if short and found:
                return {kind: self.known_keys(value[kind], found[0], (*path, kind))}
            if not found:
                return value
        names = found[0].settings()
        made: dict[str, Any] = {}
        for name, each in value.items():
            known = name if name in names else self._like(str(name), list(names), {*value, *made}, path)
            if known:
                made[known] = self.known_keys(each, inside(found[0], known), (*path, known))
        return made

    def _like(self, name: str, names: list[str], taken: set[str], path: Keys) -> str:
        """Note an unknown key; return the name that it is like, if that is free."""
        where = dotted(path)
        elsewhere = _home_of(name, where, self._model)
        near = [] if elsewhere else nearest_names(name, names, most=1)
        hint = elsewhere or did_you_mean(near) or f"; the keys are {', '.join(names)}"
        self._note((), f"unknown key {quoted(name)}{f' in {where}' if where else ''}{hint}", (*path, name))
        if not near or near[0] in taken:
            return ""
        end, named = len(path) + 1, (*path, name)
        self._places = {(*path, near[0], *at[end:]) if at[:end] == named else at: p for at, p in self._places.items()}
        return near[0]

    def note(self, each: ErrorDetails, values: Any) -> None:
        """Note an error of pydantic, unless something wrong inside the value explains it."""
        path, annotation, value = self._at(each["loc"], values)
        error = each.get("ctx", {}).get("error")
        if isinstance(error, KeysError):
            path, _, _ = self._at(each["loc"][:-1], values)
            keys = [(*path, *key.split(".")) for key in error.keys]
            self._note(path, str(error), *([key for key in keys if key in self._places] or [path]))
        elif each["type"] == "missing":
            about = str(getattr(annotation, "description", "")).rstrip(".")
            self._note(path, f"missing key {str(each['loc'][-1])!r}: {about}", path)
        elif path not in self._wrong:
            self._note(path, str(error or self._misfit(path, annotation, value)), path)
            self._mark(path)

    def _at(self, loc: Keys, values: Any) -> tuple[Keys, object, Any]:
        """Follow pydantic's location, which names alternatives too: to a path, its annotation and its value."""
        path: Keys = ()
        annotation: object = self._model
        for part in loc:
            is_item = isinstance(part, int)
            holds = part in values if isinstance(values, Mapping) else is_item and isinstance(values, list | tuple)
            if is_item or holds or groups(annotation):
                annotation = inside(annotation, part) or annotation
            if holds:
                path, values = (*path, part), values[part]
        return path, annotation, values

    def _misfit(self, path: Keys, annotation: object, value: object) -> str:
        got = f", got {self._places[path].written}" if path in self._places else ""
        words = choices(annotation) or choices(item_of(annotation, tuple))
        return f"expected {expected(annotation)}{got}{nearest(value, words) if isinstance(value, str) else ''}"

    def _note(self, path: Keys, text: str, *stand: Keys) -> None:
        places = sorted((self._places[each] for each in stand if each in self._places), key=lambda place: place.line)
        self.problems.append(Problem(path, text, tuple(places)))

    def _mark(self, path: Keys) -> None:
        self._wrong.update(path[:end] for end in range(len(path) + 1))


def dotted(path: Keys) -> str:
    """Write a path as people do: ``score.postprocess[0].threshold``; a key that is not a plain word is quoted."""
    plain = re.compile(r"[\w.-]{1,60}")
    words = (f"[{part}]" if isinstance(part, int) else part if plain.fullmatch(part) else quoted(part) for part in path)
    return ".".join(words).replace(".[", "[")


def _home_of(name: str, group: str, model: type[Frozen]) -> str:
    """Say where a key belongs that stands in the wrong group."""
    if group and name in model.settings():
        return " (it is a key of the job itself, not of a group)"
    homes = [(key, below) for key, field in model.settings().items() for below in groups(field)]
    others = [repr(key) for key, below in homes if key != group and name in below.settings()]
    return f" (it goes under {' or '.join(others)})" if others else ""
