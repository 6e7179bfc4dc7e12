"""The plan of a table job: everything decided and checked, nothing run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from spark_infer.observe.wording import (
    columns_line,
    named_values,
    params_line,
    quarantined_line,
    selection_lines,
    since_line,
    size,
)
from spark_infer.printable import printable_lines


@dataclass(frozen=True, kw_only=True)
class PlannedColumn:
    """One column on its way into the model.

    Attributes:
        column: Column of the table (after preprocess); None for an optional input that the table lacks.
        model_column: Name the model knows it by.
        type: Type the model gets.
        cast: The lossless conversion, ``integer -> long``; None where the types are equal.
    """

    column: str | None
    model_column: str
    type: str
    cast: str | None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a job would do; plain facts, no row values and no secrets.

    Attributes:
        job: Name of the job.
        model_uri: The URI as it was asked for.
        model_name: Name in the registry, or of the folder.
        model_version: The exact version.
        model_digest: sha256 of the model's files, in hex.
        model_bytes: Their size.
        backend: What serves the model, and why, and how batches reach it.
        params: Inference parameters of the model, with its own for those that are not given; secrets are hidden.
        job_params: Parameters of the job, such as the day.
        model_files: How the files reach the workers.
        source: Path or name of the table to read.
        source_format: ``delta`` or ``parquet``.
        source_version: The version that is pinned, where the format has one.
        source_since: Only rows that came after this version are read, or files beside so many; None for all rows.
        quarantined_runs: Runs whose quarantined rows are scored again; None for a run that scores its source.
        source_rows: Rows of the table partitions to read, where the table knows; `where` leaves fewer.
        partition_filter: Which table partitions are read.
        where: The condition on the rows.
        read_columns: Columns that are read.
        columns: How they become the model's inputs.
        steps: What happens to a batch, in order.
        outputs: Prediction columns and their types.
        target: Path or name of the table to write.
        target_format: ``delta`` or ``parquet``.
        target_columns: Its columns that are written, and their types.
        mode: The write mode.
        write: What the write does, one sentence.
        plane: Which plane carries the batches, and why.
        acceleration: How the model is asked faster than by its library alone, or why it is not; empty where no way is
            known.
        compiled: What the model was compiled to, and what the parity gate found; empty where its own library serves.
        row_order: Whether the model answers rows in their order, as far as trying it showed; empty where that is not in
            question.
        source_stored: How the rows of a source that only Spark can read are stored first, and why; else empty.
        units: What is published at once, and where an earlier command of this job stopped; a sentence each.
        tasks: How many tasks run at once, with how many copies of the model, and what stays idle; a sentence each.
        warnings: What the reader should know, a sentence each.

    Example:
        >>> plan = ScoringJob.from_yaml("job.yaml").plan(spark)
        >>> plan.model_version, plan.read_columns, plan.outputs
        ('1', ('flight_id', 'dep_delay'), {'prediction': 'double'})
    """

    job: str
    model_uri: str
    model_name: str
    model_version: str
    model_digest: str
    model_bytes: int
    backend: str
    params: Mapping[str, Any]
    model_files: str
    source: str
    source_format: str
    source_version: int | None
    source_since: int | None
    quarantined_runs: tuple[str, ...] | None
    source_rows: int | None
    partition_filter: tuple[str, ...]
    where: str | None
    read_columns: tuple[str, ...]
    columns: tuple[PlannedColumn, ...]
    steps: tuple[str, ...]
    outputs: Mapping[str, str]
    target: str
    target_format: str
    target_columns: Mapping[str, str]
    mode: str
    write: str
    plane: str
    acceleration: str = ""
    compiled: str = ""
    row_order: str = ""
    source_stored: str = ""
    units: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    job_params: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """Return the facts as values that JSON can hold."""
        facts = asdict(self)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in facts.items()}

    def __str__(self) -> str:
        return printable_lines(_lines(self))


def _lines(plan: Plan) -> Iterator[str]:
    version = "" if plan.source_version is None else f", version {plan.source_version}"
    rows = "" if plan.source_rows is None else f", {plan.source_rows:,} rows{_where(plan)}"
    yield f"{plan.job}: nothing is scored, nothing is written"
    yield ""
    if plan.job_params:
        yield _fact("params", ", ".join(named_values(plan.job_params)))
    yield _fact("model", f"{plan.model_name} version {plan.model_version} ({plan.model_uri})")
    yield _fact("", f"digest {plan.model_digest[:12]}, {size(plan.model_bytes)}")
    yield _fact("backend", plan.backend)
    if plan.params:
        yield _fact("", params_line(plan.params))
    if plan.acceleration:
        yield _fact("", f"acceleration: {plan.acceleration}")
    if plan.compiled:
        yield _fact("", f"compiled {plan.compiled}")
    if plan.row_order:
        yield _fact("", f"order of the rows: {plan.row_order}")
    yield _fact("files", plan.model_files)
    yield _fact("plane", plan.plane)
    yield from (_fact("" if number else "units", line) for number, line in enumerate(plan.units))
    yield from (_fact("" if number else "tasks", line) for number, line in enumerate(plan.tasks))
    what = "" if plan.source_stored else f" ({plan.source_format}{version}{rows})"
    yield _fact("source", f"{plan.source}{what}")
    if plan.source_stored:
        yield _fact("", plan.source_stored)
    if plan.source_since is not None:
        yield _fact("", since_line(plan.source_since, plan.source_version))
    if plan.quarantined_runs is not None:
        yield _fact("", quarantined_line(plan.quarantined_runs))
    yield from (_fact("", line) for line in selection_lines(plan.partition_filter, plan.where))
    yield _fact("", f"reads {len(plan.read_columns)} columns: {', '.join(plan.read_columns)}")
    yield _fact("target", f"{plan.target} ({plan.target_format})")
    yield _fact("", f"{plan.mode}: {plan.write}")
    yield _fact("", columns_line(plan.target_columns))
    yield ""
    yield "columns into the model"
    yield from _bound(plan.columns)
    yield ""
    yield "steps"
    yield from (f"  {number}. {step}" for number, step in enumerate(plan.steps, 1))
    yield ""
    yield "prediction columns"
    width = max((len(name) for name in plan.outputs), default=0)
    yield from (f"  {name:<{width}}  {type_}" for name, type_ in plan.outputs.items())
    if plan.warnings:
        yield ""
        yield "warnings"
        yield from (f"  ! {warning}" for warning in plan.warnings)


def _where(plan: Plan) -> str:
    return (" in these partitions" if plan.partition_filter else "") + (" before `where`" if plan.where else "")


def _bound(columns: tuple[PlannedColumn, ...]) -> Iterator[str]:
    width = max((len(column.model_column) for column in columns), default=0)
    for column in columns:
        note = f"cast {column.cast}" if column.cast else ""
        if column.column is None:
            note = "optional, and not in the table: the model goes without"
        elif column.column != column.model_column:
            note = f"from {column.column} {note}".rstrip()
        yield f"  {column.model_column:<{width}}  {column.type:<10}  {note}".rstrip()


def _fact(label: str, text: str) -> str:
    return f"  {label:<8}{text}"
