"""Settings made of plain values, or refused with every problem at once, in the same words for Python and a job file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import islice
from typing import Any, NamedTuple, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from spark_infer.config.annotations import (
    about,
    annotation_of,
    choices,
    expected,
    fields_below,
    groups,
    item_of,
    step_kind,
)
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
    """What is wrong with the value at a path, and where it stands if it was read from a file."""

    path: Keys
    text: str
    places: tuple[Place, ...] = ()

    def __str__(self) -> str:
        return f"{dotted(self.path)}: {self.text}" if self.path else self.text


def mapping(given: object, name: str) -> dict[str, Any]:
    """Return the keys of an option that is a mapping; None has none.

    Raises:
        ConfigError: It is something else.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise ConfigError(
            f"{name} is {type(given).__name__}, and should be a mapping of its keys.",
            next_step="docs/job-file.md lists them.",
        )
    return dict(given)


def validated(model: type[Settings], given: Mapping[str, Any]) -> Settings:
    """Make a group of settings of what a caller passed.

    Raises:
        ConfigError: An unknown name, a missing one or a wrong value; all of them, without the values.
    """
    made, problems = checked(model, given)
    if made is not None:
        return made
    raise ConfigError(
        f"{len(problems)} of the options given cannot be used.",
        details=map(str, problems),
        next_step="docs/job-file.md lists every option.",
    )


def checked(
    model: type[Settings],
    values: Mapping[str, Any],
    places: Mapping[Keys, Place] | None = None,
    known: Iterable[Problem] = (),
) -> tuple[Settings | None, list[Problem]]:
    """Make a group of settings, or return every problem.

    Pydantic says nothing about a group's rules, nor about what is below an unknown key, until all else is right. So
    what is wrong is noted and taken out, a misspelt key gets the name that it is like, and the rest is validated again.

    Args:
        model: What to make.
        values: Its keys.
        places: Where each value was read.
        known: What is known to be wrong.
    """
    checking = _Checking(model, values, places or {}, known)
    made = None
    while made is None and checking.goes_on:
        try:
            made = model.model_validate(checking.values)
        except ValidationError as error:
            checking.note(error.errors(include_url=False, include_input=False))
    problems = list(dict.fromkeys(checking.problems))
    return (None if problems else made), problems


class _Checking:
    """The values that are left to check, and what was found so far."""

    def __init__(
        self, model: type[Frozen], values: Any, places: Mapping[Keys, Place], known: Iterable[Problem]
    ) -> None:
        self.values, self.problems, self.goes_on = values, list[Problem](), True
        self._model, self._places = model, places
        self._wrong: set[Keys] = set()
        """The paths of what was wrong, and of all that contains it."""
        for problem in known:
            self._mark(problem.path)

    def note(self, errors: Sequence[ErrorDetails]) -> None:
        """Note what is wrong, and take it out or rename it; if there is nothing to change, nothing goes on."""
        unknown = [each["loc"] for each in errors if each["type"] == "extra_forbidden"]
        # The deepest first: `keep: [1, '']` is neither `all` nor a list of names because of its second item.
        wrong = [] if unknown else sorted(errors, key=lambda each: -len(each["loc"]))
        changes = dict([*map(self._unknown_key, unknown), *map(self._wrong_value, wrong)])
        values = self.values
        for path, name in changes.items():
            values = _changed(values, path, name)
        self.goes_on, self.values = values is not self.values, values
        self._places = {_renamed(path, changes): place for path, place in self._places.items()}

    def _unknown_key(self, loc: Keys) -> tuple[Keys, str | None]:
        """Return the key, and the one that it is like if that is free."""
        path, annotation, group = self._follow(loc[:-1])
        name, where = str(loc[-1]), dotted(path)
        names = list(groups(annotation)[0].settings())
        elsewhere = _place_of(name, where, self._model)
        near = [] if elsewhere else nearest_names(name, names, most=1)
        hint = elsewhere or did_you_mean(near) or f"; the keys are {', '.join(names)}"
        self._note((), f"unknown key {quoted(name)}{f' in {where}' if where else ''}{hint}", (*path, name))
        return (*path, name), next((each for each in near if each not in group), None)

    def _wrong_value(self, each: ErrorDetails) -> tuple[Keys, None]:
        """Return what to take out: a value that does not fit, or a group that lacks a key or breaks its own rule."""
        path, annotation, value = self._follow(each["loc"])
        error = each.get("ctx", {}).get("error")
        if each["type"] == "missing":
            name = str(each["loc"][-1])
            if (*path, name) not in self._wrong:
                self._note(path, f"missing key {name!r}: {about(annotation).rstrip('.')}", path)
        elif isinstance(error, KeysError):
            keys = [(*path, *key.split(".")) for key in error.keys]
            if self._wrong.isdisjoint(keys):  # what was wrong in itself may be what breaks the rule
                self._note(path, str(error), *([key for key in keys if key in self._places] or [path]))
        elif path not in self._wrong:
            self._note(path, str(error or self._misfit(path, annotation, value)), path)
        self._mark(path)
        whole = next((index for index, part in enumerate(path) if isinstance(part, int)), None)
        return path[:whole], None  # without an item, the others of a list would have other indexes

    def _misfit(self, path: Keys, annotation: object, value: object) -> str:
        got = f", got {self._places[path].written}" if path in self._places else ""
        words = choices(annotation) or choices(item_of(annotation, tuple))
        return f"expected {expected(annotation)}{got}{nearest(value, words) if isinstance(value, str) else ''}"

    def _note(self, path: Keys, text: str, *stand: Keys) -> None:
        nearest_above = (path[:end] for path in stand for end in range(len(path), -1, -1) if path[:end] in self._places)
        places = [self._places[each] for each in stand if each in self._places]
        places = places or [self._places[each] for each in islice(nearest_above, 1)]
        self.problems.append(Problem(path, text, tuple(sorted(places, key=lambda place: place.line))))

    def _mark(self, path: Keys) -> None:
        self._wrong.update(path[:end] for end in range(len(path) + 1))

    def _follow(self, loc: Keys) -> tuple[Keys, object, Any]:
        """Follow pydantic's location, which names alternatives too: to a path, its annotation and its value."""
        path: Keys = ()
        annotation: object = self._model
        here = self.values
        for part in loc:
            is_item = isinstance(part, int)
            holds = part in here if isinstance(here, Mapping) else is_item and isinstance(here, list | tuple)
            inside = groups(annotation)
            if len(inside) > 1:
                annotation = next((group for group in inside if step_kind(group) == part), annotation)
            elif inside:
                field = inside[0].settings().get(str(part))
                annotation = annotation_of(field) if field is not None else None
            elif is_item or holds:
                annotation = item_of(annotation, tuple if is_item else dict)
            if holds:
                path, here = (*path, part), here[part]
        return path, annotation, here


def dotted(path: Keys) -> str:
    """Write a path as people do: ``score.postprocess[0].threshold``; a key that is not a plain word is quoted."""
    plain = re.compile(r"[\w.-]{1,60}")
    words = (f"[{part}]" if isinstance(part, int) else part if plain.fullmatch(part) else quoted(part) for part in path)
    return ".".join(words).replace(".[", "[")


def _place_of(name: str, group: str, model: type[Frozen]) -> str:
    """Say where a key belongs that stands in the wrong group."""
    places = [place for place, key in _keys_below(model) if key == name]
    if group and "" in places:
        return " (it is a key of the job itself, not of a group)"
    others = [repr(place) for place in places if place and "." not in place and place != group]
    return f" (it goes under {' or '.join(others)})" if others else ""


@cache
def _keys_below(model: type[Frozen]) -> list[tuple[str, str]]:
    """Return each key with its group."""
    return [(path.rpartition(".")[0], path.rpartition(".")[2]) for path, _ in fields_below(model)]


def _changed(values: Any, path: Keys, name: str | None) -> Any:
    """Return the values with what stands at a path under another name, or without it; as they are if it is missing."""
    if not path:
        return values
    first, *rest = path
    if isinstance(first, int):
        if not isinstance(values, list | tuple) or first >= len(values):
            return values
        below = _changed(values[first], tuple(rest), name)
        return values if below is values[first] else [*values[:first], below, *values[first + 1 :]]
    if not isinstance(values, Mapping) or first not in values:
        return values
    if rest:
        below = _changed(values[first], tuple(rest), name)
        return values if below is values[first] else {**values, first: below}
    return {name if key == first else key: value for key, value in values.items() if key != first or name is not None}


def _renamed(path: Keys, names: Mapping[Keys, str | None]) -> Keys:
    return tuple(names.get(path[: end + 1]) or part for end, part in enumerate(path))
