"""What a setting may hold, read from its annotation: for validation, its errors and the reference page."""

from __future__ import annotations

import types
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic.fields import FieldInfo

from spark_infer.config.frozen import Frozen


def annotation_of(field: FieldInfo) -> object:
    """Return a field's annotation with its bounds and its description, which pydantic keeps apart."""
    return Annotated[field.annotation, field]


def about(annotation: object) -> str:
    """Return the description of a field."""
    return next((note.description or "" for note in get_args(annotation)[1:] if isinstance(note, FieldInfo)), "")


def alternatives(annotation: object) -> list[object]:
    """Return what a union, an optional or an annotated type is made of."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return alternatives(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return [part for one in get_args(annotation) for part in alternatives(one)]
    return [annotation]


def groups(annotation: object) -> list[type[Frozen]]:
    """Return the groups of settings among the alternatives; several are the kinds of a step."""
    return [one for one in alternatives(annotation) if isinstance(one, type) and issubclass(one, Frozen)]


def item_of(annotation: object, container: type) -> object:
    """Return what the items of a tuple, or the values of a mapping, are; None where it is neither."""
    found = (one for one in alternatives(annotation) if get_origin(one) is container)
    return next((get_args(one)[1 if container is dict else 0] for one in found), None)


def choices(annotation: object) -> list[str]:
    """Return the values of the literals among the alternatives."""
    return [str(value) for one in alternatives(annotation) if get_origin(one) is Literal for value in get_args(one)]


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
        below = groups(item_of(field.annotation, tuple)) or groups(field.annotation)
        for group in below:
            yield from fields_below(group, f"{here}.{step_kind(group)}" if len(below) > 1 else here)


def expected(annotation: object, metadata: Sequence[object] = ()) -> str:
    """Say what may stand here: ``a whole number, 1 or more``, ``one of delta, parquet``."""
    if get_origin(annotation) is Annotated:
        inner, *notes = get_args(annotation)
        return expected(inner, [*metadata, *(each for note in notes for each in getattr(note, "metadata", ()))])
    if get_origin(annotation) in (Union, types.UnionType):
        if len(steps := groups(annotation)) > 1:
            return f"a step ({', '.join(map(step_kind, steps))})"
        if {str, int, bool} <= set(get_args(annotation)):
            return "a value"
        parts = [expected(one, metadata) for one in get_args(annotation) if one is not type(None)]
        return " or ".join(dict.fromkeys(parts))
    if words := choices(annotation):
        return words[0] if len(words) == 1 else "one of " + ", ".join(words)
    if (item := item_of(annotation, tuple)) is not None:
        return f"a list of {_plural(item)}"
    if (item := item_of(annotation, dict)) is not None:
        return f"a mapping of names to {_plural(item)}"
    return _expected_scalar(annotation, metadata)


def _expected_scalar(annotation: object, metadata: Sequence[object]) -> str:
    pattern = next((pattern for note in metadata if (pattern := getattr(note, "pattern", None))), "")
    if annotation is str and pattern:
        return "`module:function`" if ":" in pattern else "letters, digits, `.`, `_` and `-`"
    words = {str: "text", int: "a whole number", float: "a number", bool: "true or false", Any: "any value"}
    word = next((word for kind, word in words.items() if annotation is kind), "a mapping of keys")
    return word + "".join(_bounds(metadata) if annotation in (int, float) else ())


def _bounds(metadata: Sequence[object]) -> Iterator[str]:
    for note in metadata:
        if isinstance(note, annotated_types.Gt):
            yield f" above {note.gt}"
        elif isinstance(note, annotated_types.Ge):
            yield f", {note.ge} or more"
        elif isinstance(note, annotated_types.Le):
            yield f", {note.le} at most"


def _plural(item: object) -> str:
    """Word what the items of a container are: ``values``, ``lists of values``, ``text``."""
    word = expected(item)
    for one, many in (("a step ", "steps "), ("a value", "values"), ("a list", "lists"), ("any value", "any values")):
        if word.startswith(one):
            return many + word[len(one) :]
    return word.removeprefix("one of ")
