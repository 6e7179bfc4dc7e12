"""The ready-made steps over a model's outputs, and the step that calls a function of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator

from spark_infer.config.frozen import ColumnName, Frozen, ModuleFunction, NameList, TextList
from spark_infer.errors import nearest

STEP_KINDS = ("threshold", "argmax_label", "top_k", "label_map", "pack", "function")


class ThresholdStep(Frozen):
    """Turn a score into a yes/no column: true where `column` is at least `at`; null stays null."""

    kind: Literal["threshold"] = "threshold"
    column: ColumnName = Field(description="The output column that holds the score.")
    at: float = Field(description="The smallest score that counts as true.")
    output: ColumnName = Field(description="Name of the new boolean column.")


class ArgmaxLabelStep(Frozen):
    """Name the class with the largest score."""

    kind: Literal["argmax_label"] = "argmax_label"
    columns: NameList = Field(
        description="The score columns, one for each class; or the name of a single array column.", min_length=1
    )
    labels: TextList | None = Field(default=None, description="The class names, in the order of the scores.")
    output: ColumnName = Field(default="label", description="Name of the new string column.")


class TopKStep(Frozen):
    """Keep the k best classes with their scores, best first, as an array of structs."""

    kind: Literal["top_k"] = "top_k"
    columns: NameList = Field(
        description="The score columns, one for each class; or the name of a single array column.", min_length=1
    )
    labels: TextList | None = Field(default=None, description="The class names, in the order of the scores.")
    k: int = Field(description="How many classes to keep.", ge=1)
    output: ColumnName = Field(default="top_k", description="Name of the new `array<struct<label, score>>` column.")


class LabelMapStep(Frozen):
    """Replace each value by its name; a value without a name becomes null, or `default`."""

    kind: Literal["label_map"] = "label_map"
    column: ColumnName = Field(description="The output column to translate.")
    labels: dict[str, str] = Field(description="From the value, written as text, to its name.", min_length=1)
    default: str | None = Field(default=None, description="The name of every value that `labels` leaves out.")
    output: ColumnName | None = Field(
        default=None, description="Name of the new column; without it `column` is replaced."
    )

    @field_validator("labels", mode="before")
    @classmethod
    def _values_are_text(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        return {str(value).lower() if isinstance(value, bool) else str(value): name for value, name in given.items()}


class PackStep(Frozen):
    """Pack an array of numbers into binary, little-endian: an embedding in as many bytes as it needs."""

    kind: Literal["pack"] = "pack"
    column: ColumnName = Field(description="The output column that holds an array of float or double.")
    number: Literal["float", "double"] = Field(
        default="float", description="What each number becomes; doubles are rounded to floats."
    )
    output: ColumnName | None = Field(
        default=None, description="Name of the new binary column; without it `column` is replaced."
    )


class FunctionStep(Frozen):
    """Call your own `module:function` with an Arrow record batch; it returns one of as many rows."""

    kind: Literal["function"] = "function"
    function: ModuleFunction = Field(description="Where the function is, as `module:function`.")


def long_step(step: Any) -> Any:
    """Spell out a step written as ``module:function`` or as ``{kind: {…}}``."""
    if isinstance(step, str):
        return {"kind": "function", "function": step}
    if not isinstance(step, Mapping):
        return step
    if len(step) == 1 and "kind" not in step:
        ((kind, settings),) = step.items()
        step = {"kind": kind, **_settings(kind, settings)} if kind in STEP_KINDS else {"kind": kind}
    if "kind" not in step:
        indented = next((f"; indent the keys of `{name}` below it" for name in step if name in STEP_KINDS), "")
        raise ValueError(f"missing key 'kind', one of {', '.join(STEP_KINDS)}{indented}")
    if (kind := step["kind"]) not in STEP_KINDS:
        hint = nearest(str(kind), STEP_KINDS) or f"; the steps are {', '.join(STEP_KINDS)}"
        raise ValueError(f"unknown step {str(kind)[:60]!r}{hint}")
    return step


def _settings(kind: str, given: Any) -> Mapping[str, Any]:
    if kind == "function" and isinstance(given, str):
        return {"function": given}
    if given is not None and not isinstance(given, Mapping):
        raise ValueError(f"expected a mapping of keys below `{kind}`")
    if given and given.get("kind", kind) != kind:
        raise ValueError(f"`{kind}` is the kind of the step already: take `kind` out of the keys below it")
    return given or {}


PostprocessStep = Annotated[
    ThresholdStep | ArgmaxLabelStep | TopKStep | LabelMapStep | PackStep | FunctionStep,
    Field(discriminator="kind"),
    BeforeValidator(long_step),
]
