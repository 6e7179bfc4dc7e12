"""What a key of the job file may hold, read from the annotations in `spark_infer.config`.

One reading serves three users: binding YAML to the schema, wording its errors, and the reference page.
"""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic.fields import FieldInfo

from spark_infer.config import CompileOptions, Frozen, FunctionStep, JobConfig, ModelConfig, SourceConfig, TargetConfig

# The one key that a plain value stands for: `source: data/flights`, `model: models:/churn@champion`.
PLAIN_KEY: Mapping[type[Frozen], str] = {
    ModelConfig: "uri",
    SourceConfig: "path",
    TargetConfig: "path",
    CompileOptions: "to",
    FunctionStep: "function",
}


def annotation_of(field: FieldInfo) -> object:
    """Return a field's annotation with its bounds, which pydantic keeps apart."""
    return Annotated[field.annotation, field] if field.metadata else field.annotation


def alternatives(annotation: object) -> list[object]:
    """Return what a union, an optional or an annotated type is made of, None included as ``NoneType``."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return alternatives(get_args(annotation)[0])
    if origin is Union or origin is types.UnionType:
        return [part for one in get_args(annotation) for part in alternatives(one)]
    return [annotation]


def sections(annotation: object) -> list[type[Frozen]]:
    """Return the groups of settings among the alternatives."""
    return [one for one in alternatives(annotation) if isinstance(one, type) and issubclass(one, Frozen)]


def item_of(annotation: object, container: type) -> object:
    """Return what the items of a tuple, or the values of a mapping, are; None where it is no such container."""
    for one in alternatives(annotation):
        if get_origin(one) is container:
            return get_args(one)[1 if container is dict else 0]
    return None


def scalars(annotation: object) -> list[object]:
    """Return the alternatives that one YAML scalar can hold: types, `Any` and literals."""
    plain = (str, int, float, bool, Any)
    return [one for one in alternatives(annotation) if one in plain or get_origin(one) is Literal]


def choices(annotation: object) -> list[str]:
    """Return the values of the literals among the alternatives."""
    return [str(value) for one in alternatives(annotation) if get_origin(one) is Literal for value in get_args(one)]


def step_kind(model: type[Frozen]) -> str:
    """Return the `kind` of a postprocess step."""
    return str(model.model_fields["kind"].default)


def expected(annotation: object, metadata: Sequence[object] = ()) -> str:
    """Say what may stand here: ``a whole number of at least 1``, ``one of delta, parquet``."""
    if get_origin(annotation) is Annotated:
        inner, *notes = get_args(annotation)
        return expected(inner, [*metadata, *(each for note in notes for each in getattr(note, "metadata", ()))])
    if get_origin(annotation) in (Union, types.UnionType):
        steps = sections(annotation)
        if len(steps) > 1:
            return "a step: " + ", ".join(map(step_kind, steps))
        if {str, int, bool} <= set(scalars(annotation)):
            return "a value"
        parts = [expected(one, metadata) for one in get_args(annotation) if one is not type(None)]
        return " or ".join(dict.fromkeys(parts))
    if get_origin(annotation) is Literal:
        values = choices(annotation)
        return values[0] if len(values) == 1 else "one of " + ", ".join(values)
    if (item := item_of(annotation, tuple)) is not None:
        return f"a list of {_plural(item)}"
    if (item := item_of(annotation, dict)) is not None:
        return f"a mapping of names to {_plural(item)}"
    return _expected_scalar(annotation, metadata)


def _expected_scalar(annotation: object, metadata: Sequence[object]) -> str:
    pattern = next((pattern for note in metadata if (pattern := getattr(note, "pattern", None))), "")
    if annotation is str:
        if ":" in pattern:
            return "`module:function`"
        return "letters, digits, `.`, `_` and `-`" if pattern else "text"
    if annotation in (int, float):
        return ("a whole number" if annotation is int else "a number") + "".join(_bounds(metadata))
    if annotation is bool:
        return "true or false"
    return "any value" if annotation is Any else "a mapping"


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
    for one, many in (("a step: ", "steps: "), ("a value", "values"), ("a list", "lists"), ("any value", "any values")):
        if word.startswith(one):
            return many + word[len(one) :]
    return word.removeprefix("one of ")


def fields_below(model: type[Frozen] = JobConfig, path: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Yield every field of the schema with its dotted path; the fields of a step under the step's kind."""
    for name, field in model.settings().items():
        here = f"{path}.{name}" if path else name
        if name == "kind" and path:
            continue
        yield here, field
        steps = sections(item_of(field.annotation, tuple)) or sections(field.annotation)
        for step in steps:
            yield from fields_below(step, f"{here}.{step_kind(step)}" if len(steps) > 1 else here)


def place_of(name: str, path: str) -> str:
    """Say where a key belongs that stands in the wrong group."""
    places = [key.rpartition(".")[0] for key, _ in fields_below() if key.rpartition(".")[2] == name]
    groups = [repr(place) for place in places if place.count(".") == 0 and place != path]
    return f" (it goes under {' or '.join(groups)})" if all(places) and groups else ""
