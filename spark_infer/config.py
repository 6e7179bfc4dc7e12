"""What a user may ask for: frozen, keyword-only, validated when made, unknown keys refused.

`ScoreOptions` holds what all three doors share; `JobConfig` is a whole table job, and its fields are
the keys of a job file. Every field's description is the text of the job-file reference.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, field_validator, model_validator

from spark_infer.errors import nearest

BACKENDS = ("auto", "sklearn", "pyfunc")
WRITE_MODES = ("error_if_exists", "append", "overwrite_partitions", "overwrite")
CASTS = ("decimal->double", "long->double")
STEP_KINDS = ("threshold", "argmax_label", "top_k", "label_map", "function")

DEFAULT_BATCH_SIZE = 10_000
DEFAULT_MAX_BATCH_BYTES = 64 * 2**20
DEFAULT_CACHE_BYTES = 4 * 2**30

ModuleFunction = Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")]
ColumnName = Annotated[str, Field(min_length=1)]
Shown = TypeVar("Shown")


class Frozen(BaseModel):
    """A group of settings that cannot change once made and takes no key it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, protected_namespaces=())
    _environment: dict[str, str] = PrivateAttr(default_factory=dict)

    def with_environment(self, environment: Mapping[str, str]) -> Self:
        """Note which values came from the environment (value to ``${NAME}``), here and in every group below.

        A group remembers its own alone: the options of a model travel to workers, a server's password must not.
        """
        texts = list(_texts(self.model_dump()))
        self._environment = {value: name for value, name in environment.items() if any(value in text for text in texts)}
        for field in type(self).model_fields:
            value = getattr(self, field)
            for item in value if isinstance(value, tuple) else (value,):
                if isinstance(item, Frozen):
                    item.with_environment(environment)
        return self

    def hide_environment(self, value: Shown) -> Shown:
        """Return ``value`` (text, or lists and mappings of it) with what came from the environment as ``${NAME}``.

        Whatever is made from a job file passes through here before it is shown. Values shorter than
        four characters are replaced only where they are the whole text: they are in too many words.
        """
        hidden: Shown = _hide(value, self._environment)
        return hidden

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            yield name, self.hide_environment(value)


class ThresholdStep(Frozen):
    """Turn a score into a yes/no column: true where `column` is at least `at`; null stays null."""

    kind: Literal["threshold"] = "threshold"
    column: ColumnName = Field(description="The output column that holds the score.")
    at: float = Field(description="The smallest score that counts as true.")
    output: ColumnName = Field(description="Name of the new boolean column.")


class ArgmaxLabelStep(Frozen):
    """Name the class with the largest score."""

    kind: Literal["argmax_label"] = "argmax_label"
    columns: tuple[ColumnName, ...] = Field(
        description="The score columns, one for each class; or the name of a single array column.", min_length=1
    )
    labels: tuple[str, ...] | None = Field(default=None, description="The class names, in the order of the scores.")
    output: ColumnName = Field(default="label", description="Name of the new string column.")


class TopKStep(Frozen):
    """Keep the k best classes with their scores, best first, as an array of structs."""

    kind: Literal["top_k"] = "top_k"
    columns: tuple[ColumnName, ...] = Field(
        description="The score columns, one for each class; or the name of a single array column.", min_length=1
    )
    labels: tuple[str, ...] | None = Field(default=None, description="The class names, in the order of the scores.")
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


class FunctionStep(Frozen):
    """Call your own `module:function` with an Arrow record batch; it returns one of as many rows."""

    kind: Literal["function"] = "function"
    function: ModuleFunction = Field(description="Where the function is, as `module:function`.")


PostprocessStep = Annotated[
    ThresholdStep | ArgmaxLabelStep | TopKStep | LabelMapStep | FunctionStep, Field(discriminator="kind")
]


class ScoreOptions(Frozen):
    """How rows are scored: what the column, the DataFrame and the table door share."""

    inputs: tuple[ColumnName, ...] | None = Field(
        default=None,
        description="The columns to feed a model whose signature names none (or that has no signature), in the "
        "model's order.",
    )
    params: dict[str, Any] = Field(default_factory=dict, description="Inference parameters of the model's signature.")
    backend: Literal["auto", "sklearn", "pyfunc"] = Field(
        default="auto", description="`auto` takes the native backend of the flavor where it gives the same answers."
    )
    predict_method: tuple[str, ...] | None = Field(
        default=None,
        description="Which methods to call: `predict`, `predict_proba`, `decision_function`, or several. "
        "Without it, the one the model was logged with.",
    )
    result_type: str | None = Field(
        default=None,
        description="DDL of the outputs (`double`, `label string, score double`) for a model whose signature has "
        "none; with a signature, the types to convert to.",
    )
    allow_casts: tuple[Literal["decimal->double", "long->double"], ...] = Field(
        default=(), description="Conversions that can lose digits and are therefore made only when asked for."
    )
    preprocess: ModuleFunction | None = Field(
        default=None,
        description="`module:function` that turns an Arrow record batch of the source into one with the model's "
        "columns, row for row.",
    )
    postprocess: tuple[PostprocessStep, ...] = Field(
        default=(), description="Steps over the model's outputs, in order."
    )
    batch_size: int = Field(default=DEFAULT_BATCH_SIZE, ge=1, description="Rows per predict call.")
    max_batch_bytes: int = Field(
        default=DEFAULT_MAX_BATCH_BYTES, ge=1, description="Bytes of input per predict call; a larger row goes alone."
    )
    cache_bytes: int = Field(
        default=DEFAULT_CACHE_BYTES, ge=0, description="Bytes of loaded models that one Python worker may keep."
    )

    @field_validator("inputs", "predict_method", "allow_casts", mode="before")
    @classmethod
    def _one_is_a_list(cls, given: Any) -> Any:
        return (given,) if isinstance(given, str) else given

    @field_validator("postprocess", mode="before")
    @classmethod
    def _short_steps(cls, given: Any) -> Any:
        steps = (given,) if isinstance(given, str | Mapping) else given
        return tuple(_long_step(step) for step in steps) if isinstance(steps, list | tuple) else steps


class ModelConfig(Frozen):
    """Which model."""

    uri: str = Field(min_length=1, description="`models:/name@alias`, `models:/name/3`, `runs:/…`, or a folder.")
    tracking_uri: str | None = Field(
        default=None, description="MLflow tracking server or store; else MLflow's own setting."
    )
    registry_uri: str | None = Field(default=None, description="MLflow registry, where it is not the tracking server.")


PartitionValue = str | int | bool | None


class TableConfig(Frozen):
    """A table: a path, or a name in the catalog."""

    path: str | None = Field(default=None, description="Folder of the table, local or on an object store.")
    table: str | None = Field(
        default=None, description="Name in the catalog: `table`, `schema.table` or `catalog.schema.table`."
    )
    format: Literal["delta", "parquet"] | None = Field(
        default=None, description="Found out from the folder or the catalog where it is left out."
    )

    @model_validator(mode="after")
    def _one_place(self) -> TableConfig:
        if (self.path is None) == (self.table is None):
            raise ValueError("give either `path` or `table`, not both and not neither")
        return self

    @property
    def name(self) -> str:
        """The path or the catalog name, as the user wrote it."""
        return self.path or self.table or ""


class SourceConfig(TableConfig):
    """What to score."""

    version: int | None = Field(
        default=None, ge=0, description="Delta version to read; without it, the newest when the job starts."
    )
    partition_filter: dict[str, tuple[PartitionValue, ...]] = Field(
        default_factory=dict, description="Table partitions to read: column to the list of its values."
    )
    where: str | None = Field(default=None, description="SQL condition; only rows that meet it are read and scored.")

    @field_validator("partition_filter", mode="before")
    @classmethod
    def _one_value_is_a_list(cls, given: Any) -> Any:
        return _listed_values(given)


class TargetConfig(TableConfig):
    """Where the scored rows go."""

    mode: Literal["error_if_exists", "append", "overwrite_partitions", "overwrite"] = Field(
        default="error_if_exists", description="What may happen to rows that are already there."
    )
    partitions: dict[str, tuple[PartitionValue, ...]] = Field(
        default_factory=dict,
        description="For `overwrite_partitions`: the table partitions this job may replace, column to the list of "
        "values. A row outside them is an error.",
    )
    partition_by: tuple[ColumnName, ...] = Field(default=(), description="Columns to partition a new table by.")
    keep: Literal["all"] | tuple[ColumnName, ...] = Field(
        default="all", description="The columns of the source that pass through to the target, or `all`."
    )
    output: str | dict[str, str] | None = Field(
        default=None,
        description="A name for the only output (several outputs become one struct of that name), or a mapping from "
        "output to column that also chooses among them.",
    )
    model_name_column: ColumnName | None = Field(
        default="model_name", description="Column for the model's name; null leaves it out."
    )
    model_version_column: ColumnName | None = Field(
        default="model_version", description="Column for the exact version; null leaves it out."
    )
    scored_at_column: ColumnName | None = Field(
        default="scored_at", description="Column for the time the run started; null leaves it out."
    )
    target_file_bytes: int | None = Field(
        default=None,
        ge=2**20,
        description="Wished-for size of a file; asks Spark for a shuffle of the scored rows before the write.",
    )

    @field_validator("partitions", mode="before")
    @classmethod
    def _one_value_is_a_list(cls, given: Any) -> Any:
        return _listed_values(given)

    @field_validator("partition_by", "keep", mode="before")
    @classmethod
    def _one_is_a_list(cls, given: Any) -> Any:
        return (given,) if isinstance(given, str) and given != "all" else given

    @model_validator(mode="after")
    def _scope_fits_mode(self) -> TargetConfig:
        if self.mode == "overwrite_partitions" and not self.partitions:
            raise ValueError("mode `overwrite_partitions` needs `partitions`: which ones may this job replace?")
        if self.mode != "overwrite_partitions" and self.partitions:
            raise ValueError(
                "`partitions` goes with mode `overwrite_partitions` alone; for another mode take it out "
                "(--set target.partitions= on the command line)"
            )
        return self


class SparkConfig(Frozen):
    """The Spark session that the command line starts; a session of your own is used as it is."""

    master: str | None = Field(
        default=None, description="Spark master, `local[2]` or `spark://…`; without it spark-submit's, else `local[*]`."
    )
    app_name: str | None = Field(default=None, description="Name in the Spark UI; without it the job's name.")
    conf: dict[str, str] = Field(default_factory=dict, description="Spark settings by their exact names.")


class JobConfig(Frozen):
    """A table job: source, model, steps, target."""

    name: str = Field(
        default="score",
        pattern=re.compile(r"^[\w.-]+$").pattern,
        description="Name of the job in logs and in the target's history.",
    )
    model: ModelConfig = Field(description="Which model.")
    source: SourceConfig = Field(description="What to score.")
    target: TargetConfig = Field(description="Where the scored rows go.")
    score: ScoreOptions = Field(default_factory=ScoreOptions, description="How rows are scored.")
    spark: SparkConfig = Field(
        default_factory=SparkConfig, description="The Spark session that the command line starts."
    )


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list | tuple):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(item)


def _hide(value: Any, environment: Mapping[str, str]) -> Any:
    if not environment:
        return value
    if isinstance(value, str):
        return _hide_text(value, environment)
    if isinstance(value, Mapping):
        return {_hide(key, environment): _hide(item, environment) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_hide(item, environment) for item in value)
    return value


def _hide_text(text: str, environment: Mapping[str, str]) -> str:
    if text in environment:
        return environment[text]
    shown = {value: name for value, name in environment.items() if len(value) >= 4}
    # An error often quotes a value, and quoting escapes it.
    shown |= {form: name for value, name in shown.items() for form in (repr(value)[1:-1], json.dumps(value)[1:-1])}
    # A short word may be part of a longer one that has nothing to do with it.
    forms = [
        rf"\b{re.escape(form)}\b" if len(form) < 8 and form.isidentifier() else re.escape(form)
        for form in sorted(shown, key=len, reverse=True)
    ]
    return re.sub("|".join(forms), lambda match: shown[match[0]], text) if forms else text


def _long_step(step: Any) -> Any:
    """Spell out a step written as ``module:function`` or as ``{kind: {…}}``."""
    if isinstance(step, str):
        return {"kind": "function", "function": step}
    if isinstance(step, Mapping) and len(step) == 1:
        ((kind, settings),) = step.items()
        step = {"kind": kind, **settings} if isinstance(settings, Mapping) else step
    if isinstance(step, Mapping) and step.get("kind") not in STEP_KINDS:
        kind = str(step.get("kind", next(iter(step), "")))
        raise ValueError(f"unknown step {kind!r}{nearest(kind, STEP_KINDS)}; the steps are {', '.join(STEP_KINDS)}")
    return step


def _listed_values(given: Any) -> Any:
    """Accept one partition value where a list of them is meant."""
    if not isinstance(given, Mapping):
        return given
    return {name: value if isinstance(value, list | tuple) else (value,) for name, value in given.items()}
