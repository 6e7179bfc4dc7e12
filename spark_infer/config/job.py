"""A whole table job: model, source, target, Spark; its fields are the keys of a job file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from spark_infer.config.aggregate import AggregateConfig
from spark_infer.config.duration import Duration
from spark_infer.config.frozen import ColumnName, Frozen, NameList, TextList, rule
from spark_infer.config.incremental import IncrementalOptions, key_problem, quarantined_key_problem
from spark_infer.config.job_params import declared, text_of
from spark_infer.config.model import ModelConfig
from spark_infer.config.quarantined import QuarantinedOptions, quarantined_problem
from spark_infer.config.resources import ResourceOptions
from spark_infer.config.retry import RetryOptions
from spark_infer.config.score import MOST_SECONDS, ScoreOptions
from spark_infer.config.source import STORED_RULE, PartitionValues, SourceConfig, stored_problem
from spark_infer.config.spark import SparkConfig
from spark_infer.config.table import Place, WrittenTableConfig
from spark_infer.config.trigger import STREAM_RULE, CheckpointPath, Trigger, stream_problem
from spark_infer.config.unit_size import UnitOptions
from spark_infer.config.write_modes import CREATE, MODES, ModeName, WriteMode, option_problem

_SPARKS_PROPERTIES = ("collation", "comment", "external", "is_managed_location", "location", "owner", "provider")


class TargetConfig(WrittenTableConfig):
    """Where the scored rows go."""

    mode: ModeName = Field(default=CREATE.name, description="What may happen to rows that are already there.")
    keys: NameList = Field(
        default=(),
        description="For `merge`: the kept columns that tell rows apart. A scored row replaces the one with "
        "equal keys, null included, or is added; a key that occurs twice in the source is an error.",
    )
    partitions: PartitionValues = Field(
        default_factory=dict,
        description="For `overwrite_partitions`: the table partitions this job may replace, column to the list of "
        "values. A row outside them is an error.",
    )
    partition_by: NameList = Field(default=(), description="Columns to partition a new table by.")
    location: Place | None = Field(
        default=None, description="For a new `table`: its folder, which makes it an external table of the catalog."
    )
    properties: dict[str, str] = Field(
        default_factory=dict, description="For a new `table`: its table properties, such as `team: fraud`."
    )
    keep: Literal["all"] | NameList = Field(
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
    ledger_users: TextList = Field(
        default=(),
        description="Users of this machine, besides yourself, root and the owner of the table (unless that is "
        "`nobody`), whose ledgers beside the table this job believes: names, or numbers in quotes.",
    )
    ledger_group: str | None = Field(
        default=None,
        description="Group whose members share the runs of this table: its ledger is made for them, and those of its "
        "members count. They need the umask 002. Without it the ledger is for your user alone.",
    )

    @property
    def write_mode(self) -> WriteMode:
        """The mode, as those see it who decide by it."""
        return MODES[self.mode]

    @rule("mode", "partitions")
    @staticmethod
    def _scope_fits_mode(mode: str, partitions: Mapping[str, Any]) -> str:
        more = " (--set target.partitions= on the command line)"
        return option_problem(mode, "partitions", partitions, "which ones may this job replace?", more)

    @rule("mode", "keys")
    @staticmethod
    def _keys_fit_mode(mode: str, keys: tuple[str, ...]) -> str:
        return option_problem(mode, "keys", keys, "which columns tell rows apart?")

    @rule("table", "location", "properties")
    @staticmethod
    def _catalog_has_the_table(table: str | None, location: str | None, properties: Mapping[str, str]) -> str:
        given = [name for name, value in (("location", location), ("properties", properties)) if value]
        if given and table is None:
            return f"`{given[0]}` is of tables of the catalog: name one with `table`"
        taken = [name for name in properties if name in _SPARKS_PROPERTIES]
        return f"`properties` names {taken[0]}, which Spark keeps for itself: choose another name" if taken else ""

    @rule("keys", "keep")
    @staticmethod
    def _keys_are_kept(keys: tuple[str, ...], keep: Literal["all"] | tuple[str, ...]) -> str:
        lost = [key for key in keys if keep != "all" and key not in keep]
        return f"`keep` lacks the key {lost[0]}: keys are kept columns" if lost else ""


class QuarantineConfig(WrittenTableConfig):
    """Where rows go that the model fails for: a table of its own, partitioned by run."""

    columns: NameList = Field(
        default=(),
        description="Columns of the source that are kept of a quarantined row, by which it is found again.",
    )


class CacheConfig(WrittenTableConfig):
    """Where predictions are kept from one run to the next: a table of its own, partitioned by model and options."""


class JobConfig(Frozen):
    """A table job: source, model, steps, target.

    Example:
        >>> config = JobConfig(
        ...     model={"uri": "models:/flight_delay@champion"},
        ...     source={"path": "data/flights"},
        ...     target={"path": "data/scored"},
        ... )
        >>> config.target.mode, config.score.batch_size, config.engine
        ('error_if_exists', None, 'spark')
    """

    name: str = Field(
        default="score",
        pattern=re.compile(r"^[\w.-]+$").pattern,
        description="Name of the job in logs and in the target's history.",
    )
    params: dict[str, Annotated[Any, AfterValidator(declared)]] = Field(
        default_factory=dict,
        description="Parameters of the job, such as the day: name to a default, or to `{type: date}` where each "
        "command gives `--param day=2026-11-28`. Types: `string`, `int`, `double`, `boolean`, `date`. A text refers to "
        "one as `${params.day}`; in `where` and `query` that is a SQL literal, without quotes around it.",
    )
    model: ModelConfig = Field(description="Which model.")
    source: SourceConfig = Field(description="What to score.")
    target: TargetConfig = Field(description="Where the scored rows go.")
    plane: Literal["auto", "direct", "spark"] = Field(
        default="auto",
        description="Who reads the source and writes the target: `direct` has the workers do it, and Spark schedules; "
        "`spark` has Spark do it; `auto` takes `direct` wherever it gives the same rows, and the plan says why.",
    )
    engine: Literal["spark", "local"] = Field(
        default="spark",
        description="What runs the job: `spark`, or `local`, a pool of processes on this machine without Java, for "
        "tables by path that workers can read and write themselves.",
    )
    score: ScoreOptions = Field(default_factory=ScoreOptions, description="How rows are scored.")
    incremental: IncrementalOptions | None = Field(
        default=None, description="Score only new rows: `true`, or options. docs/new-rows.md says what counts as new."
    )
    trigger: Trigger | None = Field(
        default=None,
        description="Follow the source as a stream: `available_now` scores what is new in micro-batches and ends; an "
        "interval, such as `30 seconds`, looks for new rows for ever. docs/new-rows.md says more.",
    )
    checkpoint: CheckpointPath | None = Field(
        default=None, description="For `trigger`: the folder in which Spark notes how far the stream is."
    )
    refresh_model: bool = Field(
        default=False,
        description="For `trigger`: whether the model URI is resolved again before each micro-batch. Without it, the "
        "version that the URI means when the stream starts scores all of them.",
    )
    stream_options: dict[str, str | int | bool] = Field(
        default_factory=dict,
        description="For `trigger`: options of Spark's reader, such as `maxFilesPerTrigger` and `skipChangeCommits`.",
    )
    min_rows: int = Field(
        default=0,
        ge=0,
        description="How many rows a run has at least: with fewer it ends with an error, and nothing is published. "
        "Without it, a run without rows gives a warning.",
    )
    fail_on_empty: bool = Field(default=False, description="Whether a run without rows is an error: `min_rows: 1`.")
    deadline_seconds: float | None = Field(
        default=None,
        gt=0,
        le=MOST_SECONDS,
        allow_inf_nan=False,
        description="How long a command may plan and score before it stops with an error; what is done stays done.",
    )
    max_runtime: Duration | None = Field(
        default=None,
        gt=0,
        le=MOST_SECONDS,
        allow_inf_nan=False,
        description="How long a command may begin units, in seconds or as `90m`, `2h`, `1h30m`. Then it ends those "
        "that it has begun, publishes what is done as the write mode allows, and stops with exit code 5; the same "
        "command goes on.",
    )
    retry: RetryOptions | None = Field(
        default=None,
        description="How often a command tries again where files cannot be reached or a worker process is lost: "
        "`{attempts: 3, backoff: 10s}`. Without it, the first such failure ends the command.",
    )
    units: UnitOptions = Field(
        default_factory=UnitOptions, description="How a run is cut into units, which are what a rerun need not repeat."
    )
    quarantine: QuarantineConfig | None = Field(
        default=None,
        description="For `score.on_error: quarantine`: the table for rows that the model fails for, on the disk of the "
        "target. It is made if it does not exist.",
    )
    cache: CacheConfig | None = Field(
        default=None,
        description="A prediction cache, on the disk of the target: rows whose model inputs an earlier run has "
        "predicted with this model and these options are answered from it, and new predictions are added. It is made "
        "if it does not exist. docs/prediction-cache.md says what counts as the same.",
    )
    aggregate: AggregateConfig | None = Field(
        default=None,
        description="Per-group summaries of the predictions: a table beside the target, written in the same run.",
    )
    quarantined: QuarantinedOptions | None = Field(
        default=None,
        description="Score the rows of the quarantine table again: `true`, or options. What succeeds is added to the "
        "target and leaves the quarantine.",
    )
    resources: ResourceOptions = Field(
        default_factory=ResourceOptions, description="What one task of the scoring stage takes: GPUs and cores."
    )
    spark: SparkConfig = Field(
        default_factory=SparkConfig, description="The Spark session that the command line starts."
    )

    @rule("score.on_error", "quarantine")
    @staticmethod
    def _quarantine_has_its_table(on_error: str, quarantine: QuarantineConfig | None) -> str:
        wrong = (on_error == "quarantine") != (quarantine is not None)
        return (
            "`quarantine`, a table, and `score.on_error: quarantine` go together: give both or neither" if wrong else ""
        )

    @rule("plane", "engine")
    @staticmethod
    def _engine_has_the_plane(plane: str, engine: str) -> str:
        wrong = engine == "local" and plane == "spark"
        return "engine `local` has no spark plane: leave `plane` out, or set engine: spark" if wrong else ""

    @rule("source", "plane", "trigger")
    @staticmethod
    def _workers_read_files(source: SourceConfig, plane: str, trigger: str | None) -> str:
        if source.files is None or (plane != "spark" and trigger is None):
            return ""
        asked = "plane: spark" if plane == "spark" else "trigger"
        return (
            f"`source.files` are read by workers, once listed: take `{asked}` out, and use `incremental` for new files"
        )

    @rule("source", "incremental")
    @staticmethod
    def _files_tell_which_are_new(source: SourceConfig, incremental: IncrementalOptions | None) -> str:
        wrong = source.files is not None and incremental is not None and bool(incremental.by)
        return "`incremental.by` is of tables: of `source.files`, those that are new are scored" if wrong else ""

    @rule("target.mode", "engine")
    @staticmethod
    def _engine_can_merge(mode: str, engine: str) -> str:
        wrong = engine == "local" and MODES[mode].merges
        return "only Spark can merge: set engine: spark, or another mode" if wrong else ""

    @rule("target.mode", "incremental")
    @staticmethod
    def _new_rows_have_a_mode(mode: str, incremental: IncrementalOptions | None) -> str:
        keeps_up = MODES[mode].takes_existing and not MODES[mode].replaces_partitions
        if incremental is None or not incremental.enabled or keeps_up:
            return ""
        return "`incremental` adds rows to a table that is there: set target.mode to append, or to merge with keys"

    @rule("target.mode", "incremental")
    @staticmethod
    def _removing_has_keys(mode: str, incremental: IncrementalOptions | None) -> str:
        wrong = incremental is not None and incremental.deletes == "remove" and MODES[mode].adds_only
        return "`deletes: remove` takes rows out of the target by keys: set target.mode to merge" if wrong else ""

    _quarantined_rows_are_added = rule("target.mode", "quarantine", "aggregate", "quarantined")(quarantined_problem)
    _fits_a_stream = rule(*STREAM_RULE)(stream_problem)
    _fits_stored_rows = rule(*STORED_RULE)(stored_problem)
    _keys_of_new_rows_are_kept = rule("target.mode", "target.keep", "incremental")(key_problem)
    _keys_of_new_rows_are_in_the_target = rule("score.on_error", "incremental")(quarantined_key_problem)

    @property
    def new_rows(self) -> IncrementalOptions | None:
        """The options of an incremental job; None for one that scores all rows."""
        return self.incremental if self.incremental is not None and self.incremental.enabled else None

    @property
    def again(self) -> QuarantinedOptions | None:
        """The options of a job that scores quarantined rows again; None for one that scores its source."""
        return self.quarantined if self.quarantined is not None and self.quarantined.enabled else None

    @property
    def least_rows(self) -> int:
        """How many rows a run has at least."""
        return max(self.min_rows, int(self.fail_on_empty))

    @property
    def shown_params(self) -> dict[str, str]:
        """The parameters of the job, as text for people and for ledgers."""
        return {name: text_of(param.value) for name, param in self.params.items() if param.value is not None}
