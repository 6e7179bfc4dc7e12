"""What a setting may hold, read from its annotation: for validation, its errors and the reference page."""

from __future__ import annotations

import types
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic.fields import FieldInfo

from spark_infer.config.frozen import Frozen

_WORDS: dict[Any, str] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    Any: "any value",
}
_MANY = (
    ("a step ", "steps "),
    ("a value", "values"),
    ("a mapping", "mappings"),
    ("a list", "lists"),
    ("any value", "any values"),
    ("one of ", ""),
)


def alternatives(setting: object) -> list[object]:
    """Return what a field or an annotation may hold: one type, or those of a union."""
    if isinstance(setting, FieldInfo):
        return alternatives(setting.annotation)
    if get_origin(setting) is Annotated:
        return alternatives(get_args(setting)[0])
    if get_origin(setting) in (Union, types.UnionType):
        return [part for one in get_args(setting) for part in alternatives(one)]
    return [setting]


def groups(setting: object) -> list[type[Frozen]]:
    """Return the groups of settings among the alternatives; several are the kinds of a step."""
    # In Python 3.10 `tuple[str, ...]` is an instance of `type` too.
    classes = (one for one in alternatives(setting) if isinstance(one, type) and get_origin(one) is None)
    return [one for one in classes if issubclass(one, Frozen)]


def item_of(setting: object, container: type) -> object:
    """Return what the items of a tuple, or the values of a mapping, are; None where it is neither."""
    found = (one for one in alternatives(setting) if get_origin(one) is container)
    return next((get_args(one)[1 if container is dict else 0] for one in found), None)


def inside(setting: object, part: str | int) -> object:
    """Return what may stand under a key, as an item or as a kind of step; None where that is not known."""
    found = groups(setting)
    if len(found) > 1:
        return next((group for group in found if step_kind(group) == part), None)
    return found[0].settings().get(str(part)) if found else item_of(setting, tuple if isinstance(part, int) else dict)


def choices(setting: object) -> list[str]:
    """Return the values of the literals among the alternatives."""
    return [str(value) for one in alternatives(setting) if get_origin(one) is Literal for value in get_args(one)]


def step_kind(model: type[Frozen]) -> str:
    """Return the `kind` of a postprocess step."""
    return str(model.model_fields["kind"].default)


def fields_below(model: type[Frozen], path: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Yield every field with its dotted path; the fields of a step under the step's kind."""
    for name, field in model.settings().items():
        if name == "kind" and path:
            continue
        here = f"{path}.{name}" if path else name
        yield here, field
        below = groups(item_of(field, tuple)) or groups(field)
        for group in below:
            yield from fields_below(group, f"{here}.{step_kind(group)}" if len(below) > 1 else here)


def expected(setting: object, metadata: Sequence[object] = ()) -> str:
    """Say what may stand here: ``a whole number, 1 or more``, ``one of delta, parquet``."""
    if isinstance(setting, FieldInfo):
        return expected(setting.annotation, setting.metadata)
    if get_origin(setting) is Annotated:
        inner, *notes = get_args(setting)
        return expected(inner, [*metadata, *(each for note in notes for each in getattr(note, "metadata", ()))])
    if get_origin(setting) in (Union, types.UnionType):
        if len(steps := groups(setting)) > 1:
            return f"a step ({', '.join(map(step_kind, steps))})"
        if {str, int, bool} <= set(get_args(setting)):
            return "a value"
        parts = [expected(one, metadata) for one in get_args(setting) if one is not type(None)]
        return (", or " if any("," in part for part in parts) else " or ").join(dict.fromkeys(parts))
    if words := choices(setting):
        return words[0] if len(words) == 1 else "one of " + ", ".join(words)
    for container, word in ((tuple, "a list of "), (dict, "a mapping of names to ")):
        if (item := item_of(setting, container)) is not None:
            one = expected(item)
            return word + next((many + one[len(start) :] for start, many in _MANY if one.startswith(start)), one)
    return _expected_scalar(setting, metadata)


def _expected_scalar(annotation: object, metadata: Sequence[object]) -> str:
    pattern = next((pattern for note in metadata if (pattern := getattr(note, "pattern", None))), "")
    if annotation is str and pattern:
        return "`module:function`" if ":" in pattern else "letters, digits, `.`, `_` and `-`"
    word = _WORDS.get(annotation, "a mapping of keys")
    for note in metadata if annotation in (int, float) else ():
        if isinstance(note, annotated_types.Gt):
            word += f" above {note.gt}"
        elif isinstance(note, annotated_types.Ge):
            word += f", {note.ge} or more"
        elif isinstance(note, annotated_types.Le):
            word += f", {note.le} at most"
    return word
