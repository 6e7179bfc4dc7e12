"""Settings given as Python values: made into a config, or refused with every problem at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from spark_infer.config import Frozen
from spark_infer.errors import ConfigError, nearest

Settings = TypeVar("Settings", bound=Frozen)


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
    """Make a config of what a caller passed.

    Raises:
        ConfigError: An unknown name, a missing one or a wrong value; all of them, without the values.
    """
    try:
        return model.model_validate(given)
    except ValidationError as error:
        problems = list(dict.fromkeys(_problems(error, model)))
        raise ConfigError(
            f"{len(problems)} of the options given cannot be used.",
            details=problems,
            next_step="docs/job-file.md lists every option.",
        ) from None


def _problems(error: ValidationError, model: type[Frozen]) -> Iterator[str]:
    for each in error.errors(include_url=False, include_input=False):
        names = [str(part) for part in each["loc"]]
        where = ".".join(names) or "options"
        known = list(_fields(model, names[:-1]))
        match each["type"]:
            case "extra_forbidden":
                yield f"{where} is not an option{_place_of(names, model) or nearest(names[-1], known)}"
            case "missing":
                yield f"{where} is missing"
            case "value_error":
                yield f"{where}: {each.get('ctx', {}).get('error')}"
            case _:
                message = each["msg"].removeprefix("Input ").removeprefix("Value error, ")
                yield f"{where} {message[:1].lower()}{message[1:]}"


def _place_of(names: list[str], model: type[Frozen]) -> str:
    """Say where an option belongs that stands in the wrong group."""
    *groups, name = names
    inside = [other for other in model.settings() if other not in groups and name in _fields(model, [other])]
    if inside:
        return " (it goes under " + " or ".join(f'{other}: {other}={{"{name}": …}}' for other in inside) + ")"
    return " (it is a key of the job itself, not of a group)" if groups and name in model.settings() else ""


def _fields(model: type[Frozen], path: list[str]) -> Mapping[str, object]:
    for name in path:
        annotation = model.settings()[name].annotation if name in model.settings() else None
        if not (isinstance(annotation, type) and issubclass(annotation, Frozen)):
            return {}
        model = annotation
    return model.settings()
