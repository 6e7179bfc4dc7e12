"""Parameters of a job, such as the day of a nightly run: declared in the job file, given with each command.

``${params.day}`` stands for the value. In ``source.where`` it is a SQL literal of the parameter's type, which no value
can leave; elsewhere it is the value itself, as text within a longer text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from spark_infer.errors import ConfigError, did_you_mean, nearest_names
from spark_infer.printable import quoted

Path = tuple[str | int, ...]
ParamValue = str | int | float | bool | date

REFERENCE = re.compile(r"\$\{params\.([^}]*)\}")
SQL_TEXTS = (("source", "where"), ("source", "query"))
"""The settings whose text is SQL."""

_NAME = re.compile(r"[A-Za-z_]\w*")
_PLAIN_TEXT = re.compile(r"(?:[\w.:@+ ]|-(?!-))*")
_QUOTED = re.compile(r"""'[^']*'|"[^"]*"|`[^`]*`""")


@dataclass(frozen=True)
class JobParam:
    """A parameter of a job.

    Attributes:
        type: ``string``, ``int``, ``double``, ``boolean`` or ``date``.
        value: Its value for this command; None where it has none yet.
    """

    type: str
    value: ParamValue | None


def _whole(text: str) -> int:
    if not re.fullmatch(r"[+-]?\d{1,18}", text):
        raise ValueError
    return int(text)


def _number(text: str) -> float:
    if not math.isfinite(found := float(text)):
        raise ValueError
    return found


def _text(text: str) -> str:
    text.encode()  # half a character has no bytes
    if "\0" in text:
        raise ValueError
    return text


_READ: Mapping[str, tuple[Callable[[str], ParamValue], str]] = {
    "string": (_text, "text"),
    "int": (_whole, "a whole number"),
    "double": (_number, "a number"),
    "boolean": (lambda text: {"true": True, "false": False}[text.lower()], "true or false"),
    "date": (date.fromisoformat, "a date such as 2026-11-28"),
}
"""Type to what reads its values, and what they are called."""


def declared(given: Any) -> JobParam:
    """Read a declaration: a default, or a mapping with `type` and `default`; nothing is a text without a default.

    Raises:
        ValueError: It is something else.
    """
    if isinstance(given, JobParam):
        return given
    if not isinstance(given, Mapping):
        return JobParam(type_of(given), None if given is None else with_type(given, type_of(given)))
    if unknown := [str(name) for name in given if name not in ("type", "default")]:
        raise ValueError(f"unknown key {quoted(unknown[0])}; the keys are type, default")
    default = given.get("default")
    kind = given.get("type") or type_of(default)
    if not isinstance(kind, str) or kind not in _READ:
        raise ValueError(f"type: expected one of {', '.join(_READ)}, got {quoted(str(kind))}")
    return JobParam(kind, None if default is None else with_type(default, kind))


def type_of(value: Any) -> str:
    """Return the type of a value that is given without one."""
    if isinstance(value, datetime):
        raise ValueError("a time is not a value of a parameter; give a date, or text")
    kinds = {bool: "boolean", int: "int", float: "double", date: "date"}
    return next((name for kind, name in kinds.items() if isinstance(value, kind)), "string")


def with_type(value: Any, kind: str) -> ParamValue:
    """Read a value of a type.

    Raises:
        ValueError: It is of another type.
    """
    read, expected = _READ[kind]
    if isinstance(value, list | tuple | Mapping):
        raise ValueError(f"expected {expected}, got a {'mapping' if isinstance(value, Mapping) else 'list'}")
    try:
        return read(text_of(value))
    except (ValueError, KeyError):
        raise ValueError(f"expected {expected}, got {quoted(text_of(value))}") from None


def text_of(value: Any) -> str:
    """Return a value as text, as it stands in paths and is shown."""
    if isinstance(value, bool):
        return str(value).lower()
    return value.isoformat() if isinstance(value, date) else str(value)


def sql_of(value: ParamValue) -> str:
    """Return a value as a SQL literal that Spark, and engine `local`, read as this value and as nothing else."""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, int | float):
        # The blank keeps `x -${params.n}` from becoming a comment; `-0.0` is not below zero.
        return f" {value!r}" if repr(value).startswith("-") else repr(value)
    if isinstance(value, date):
        return f"DATE '{value.isoformat()}'"
    return f"'{value}'" if _PLAIN_TEXT.fullmatch(value) else f"CAST(X'{value.encode().hex()}' AS STRING)"


def _sql_problem(text: str, at: int) -> str:
    if found := next((mark for mark in ("\\", "--", "/*") if mark in text), ""):
        return f"SQL with parameters has no {found}: make the text with it a parameter too"
    if any(mark in _QUOTED.sub("", text[:at]) for mark in "'\"`"):
        return "write the parameter without quotes around it: it becomes a literal of its type, quotes and all"
    return ""


def given_params(pairs: Sequence[str]) -> dict[str, str]:
    """Read ``name=value`` as the command line has it.

    Raises:
        ConfigError: There is no `=`, or a name is given twice.
    """
    found: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not _NAME.fullmatch(name) or name in found:
            what = "is given twice" if name in found else "expected name=value"
            raise ConfigError(f"--param {name[:60]!r}: {what}", next_step="For example: --param day=2026-11-28")
        found[name] = value
    return found


def resolved(
    file_params: Mapping[str, Any], given: Mapping[str, Any], *, required: bool
) -> tuple[dict[str, JobParam], dict[str, str]]:
    """Give the parameters of a job their values.

    Args:
        file_params: The job file's declarations.
        given: Values of this command.
        required: Whether each must have a value.

    Returns:
        The parameters, without a value where they are wrong; and the problem of each that is, or that is not declared.
    """
    found: dict[str, JobParam] = {}
    problems: dict[str, str] = {}
    for name, declaration in file_params.items():
        try:
            if not _NAME.fullmatch(name):
                raise ValueError("the name of a parameter has letters, digits and `_`")
            param = declared(declaration)
            if given.get(name) is not None:
                param = JobParam(param.type, with_type(given[name], param.type))
            elif param.value is None and required:
                raise ValueError(f"the parameter has no value: give it with --param {name}=…, or a default")
            found[name] = param
        except ValueError as error:
            problems[name] = str(error)
            found[name] = JobParam("string", None)
    for name in given:
        if name not in file_params:
            near = did_you_mean(nearest_names(name, list(file_params), most=1))
            problems[name] = f"the job file declares no parameter {name}{near}"
    return found, problems


def names_in(value: Any) -> Iterator[str]:
    """Yield the names of the parameters that texts refer to."""
    if isinstance(value, Mapping):
        for each in value.values():
            yield from names_in(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from names_in(each)
    elif isinstance(value, str):
        yield from REFERENCE.findall(value)


def spelled(params: Mapping[str, JobParam], name: str, text: str, at: int, path: Path) -> str:
    """Return what a reference within a text stands for.

    Args:
        params: The job's parameters.
        name: The one that it refers to.
        text: The text.
        at: Where the reference begins.
        path: The keys that lead to the text.

    Raises:
        ValueError: There is no such parameter, or it cannot stand there.
    """
    value = value_of(params, name)
    if path not in SQL_TEXTS:
        return text_of(value)
    if problem := _sql_problem(text, at):
        raise ValueError(problem)
    return sql_of(value)


def value_of(params: Mapping[str, JobParam], name: str) -> ParamValue:
    """Return the value of a parameter.

    Raises:
        ValueError: There is no such parameter, or it has no value.
    """
    if name not in params:
        near = did_you_mean(nearest_names(name, list(params), most=1))
        raise ValueError(f"the job has no parameter {quoted(name)}{near}")
    value = params[name].value
    if value is None:
        raise ValueError(f"the parameter {name} has no value")
    return value


def filled(value: Any, params: Mapping[str, JobParam], path: Path = ()) -> Any:
    """Return settings that Python passes, with each ``${params.name}`` replaced.

    Raises:
        ConfigError: There is no such parameter, or it stands where it cannot.
    """
    if isinstance(value, Mapping):
        return {name: filled(each, params, (*path, name)) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [filled(each, params, path) for each in value]
    if not isinstance(value, str):
        return value
    try:
        if (whole := REFERENCE.fullmatch(value)) and path not in SQL_TEXTS:
            return value_of(params, whole[1])
        return REFERENCE.sub(lambda match: spelled(params, match[1], value, match.start(), path), value)
    except ValueError as error:
        raise ConfigError(f"{'.'.join(map(str, path))}: {error}", next_step="Give it in job_params.") from None
