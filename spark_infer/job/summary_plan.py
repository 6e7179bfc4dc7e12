"""The table of a run's summary: its columns, whether this job can write it, and how it is made and published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from spark_infer.config import AggregateConfig, JobConfig, TargetConfig
from spark_infer.engines.plane import Plane
from spark_infer.engines.prepared_job import PreparedJob, Source
from spark_infer.errors import PlanError, SchemaMismatchError
from spark_infer.job.table_beside import plan_beside, refuse_other_writers
from spark_infer.job.units.runs import before_running, report_in
from spark_infer.job.units.start import Start
from spark_infer.models.recipe import Recipe
from spark_infer.observe.wording import named_values
from spark_infer.printable import counted
from spark_infer.tables.aggregate.groups import part_schema
from spark_infer.tables.aggregate.measures import Measure, inputs_of, measures_of
from spark_infer.tables.formats import format_of
from spark_infer.tables.ledger.check import check_files
from spark_infer.tables.ledger.entry import Sealed
from spark_infer.tables.location import TableLocation
from spark_infer.tables.plan import WritePlan
from spark_infer.tables.publishing.with_summary import WithSummary
from spark_infer.tables.publishing.work import Publisher, PublishWork
from spark_infer.tables.sink.sink_spec import PartSpec, SinkSpec, WrittenFile
from spark_infer.tables.sink.summary import summary_of, write_rows
from spark_infer.tables.source_columns import refuse_unsupported
from spark_infer.tables.storage import Storage
from spark_infer.tables.table_lookup import TableLookup

OF_RUN = pa.schema(
    [
        pa.field("model_name", pa.string()),
        pa.field("model_version", pa.string()),
        pa.field("scored_at", pa.timestamp("us", "UTC")),
        pa.field("job_params", pa.string()),
        pa.field("run_id", pa.string()),
    ]
)


@dataclass(frozen=True, kw_only=True)
class SummaryPlan:
    """The table that the summary of a run goes to.

    Attributes:
        write: How its rows are added, or replace others.
        schema: Its columns.
        sink: How the driver writes it.
        by: The columns whose values make a group, and their types.
        measures: What is computed of each.
        notes: What the reader of plan and report should know, a sentence each.
    """

    write: WritePlan
    schema: pa.Schema
    sink: SinkSpec
    by: pa.Schema
    measures: tuple[Measure, ...]
    notes: tuple[str, ...] = ()


def read_inputs(recipe: Recipe, table: pa.Schema, config: JobConfig) -> Recipe:
    """Have the columns of the source read that a summary needs, also those that the target does not keep.

    Raises:
        SchemaMismatchError: Neither the scored rows nor the source have them, or they cannot be read.
    """
    if config.aggregate is None:
        return recipe
    scored = recipe.scored_schema(table)
    inputs = inputs_of(config.aggregate.by, measures_of(config.aggregate, _columns(recipe, table)))
    further = tuple(name for name in inputs if name not in scored.names)
    refuse_unsupported(table, further)
    return replace(recipe, aside=(*recipe.aside, *further))


def plan_summary(
    lookup: TableLookup,
    config: JobConfig,
    recipe: Recipe,
    source: Source,
    *,
    others: Sequence[TableLocation],
    plane: Plane,
    conf: Mapping[str, str],
    start: Start | None,
) -> SummaryPlan | None:
    """Check that a job can write its summary; None where it has none.

    Args:
        lookup: What the engine knows of tables.
        config: The job.
        recipe: How its rows are scored.
        source: The source, pinned.
        others: The target and the quarantine, where there is one.
        plane: Who reads and writes.
        conf: The session's settings.
        start: The run; None where nobody keeps account of it.

    Raises:
        PlanError: It cannot, because Spark reads or writes the rows, or for reasons of the table.
    """
    wanted = config.aggregate
    if wanted is None:
        return None
    instead = "compute the summary from the target when the job is done."
    refuse_other_writers(plane, "aggregate", instead, accounted=start is not None)
    columns = _columns(recipe, source.table)
    measures = measures_of(wanted, columns)
    by = pa.schema([pa.field(name, columns.field(name).type) for name in wanted.by])
    schema = _schema(by, measures)
    write, sink = plan_beside(
        lookup,
        _as_target(wanted, config.target),
        name="summary",
        others=others,
        snapshot=source.snapshot,
        schema=schema,
        constants=dict.fromkeys(OF_RUN.names),
        plane=plane,
        conf=conf,
    )
    lost = () if start is None or write.exists else _lost_groups(config.hide(wanted.name), start)
    return SummaryPlan(write=write, schema=schema, sink=sink, by=by, measures=measures, notes=lost)


@before_running()
def _lost_groups(name: str, start: Start) -> tuple[str, ...]:
    """Say that earlier runs had written into a summary that is not there any more."""
    reports = filter(None, map(report_in, start.runs.of_all_slices()))
    runs = sum(bool(each.get("summary_rows")) and each.get("summary") == name for each in reports)
    if not runs:
        return ()
    return (
        f"the summary {name} is gone, and with it the groups of {counted(runs, 'finished run')}: it is made again with "
        "the groups of the runs that come now; restore it, or compute those of earlier runs from the target",
    )


def part_spec(plan: SummaryPlan, run_id: str, units: tuple[int, ...]) -> PartSpec:
    """How the workers of a run write the parts of its summary."""
    sink = SinkSpec(run_id=run_id, schema=part_schema(plan.by, plan.measures), units=units)
    return PartSpec(sink=sink, by=plan.by, measures=plan.measures)


def with_summary(job: PreparedJob, work: PublishWork, target: Publisher) -> Publisher:
    """The publisher of a run, and of its summary where it has one."""
    plan, spec = job.summary, None if work.sink is None else work.sink.parts
    table = None if plan is None else plan.write.location.storage()
    if plan is None or spec is None or table is None:
        return target
    adds = plan.write.mode.adds_only
    sink = replace(plan.sink, run_id=f"{job.run_id}-{work.session}", constants=_constants(job))
    own = replace(
        work,
        plan=replace(plan.write, exists=True) if adds else plan.write,
        table=table,
        sink=sink,
        schema=plan.schema,
        ledger=work.ledger.of_summary(),
        bookmark=None,
    )
    table_format = format_of(plan.write.location.format)

    def make(entries: Sequence[Sealed], into: Storage) -> list[WrittenFile]:
        parts = [(work.folder(sealed.session), file.path) for sealed in entries for file in sealed.parts]
        files = write_rows(sink.into(into.uri), summary_of(spec, parts), 0)
        check_files(into, files, rows=None)
        return files

    if adds:
        table_format.make_empty(own)
    return WithSummary(target, table_format.publisher(own), own, make)


def _constants(job: PreparedJob) -> dict[str, Any]:
    ref, params = job.recipe.ref, job.config.hide(job.config.shown_params)
    return {
        "model_name": ref.name,
        "model_version": str(ref.version),
        "scored_at": job.started_at,
        "job_params": ", ".join(named_values(params)),
        "run_id": job.run_id,
    }


def _columns(recipe: Recipe, table: pa.Schema) -> pa.Schema:
    """All columns that a summary may name: those of the scored rows, then the others of the source."""
    scored = recipe.scored_schema(table)
    return pa.schema([*scored, *(field for field in table if field.name not in scored.names)])


def _as_target(wanted: AggregateConfig, target: TargetConfig) -> TargetConfig:
    """The summary as a target of its own, which is written as the predictions are.

    Raises:
        PlanError: There is no such way.
    """
    mode = target.write_mode
    if mode.merges:
        raise PlanError(
            "aggregate does not go with mode `merge`.",
            details=["a merge replaces rows of earlier runs, whose summaries would no more be true"],
            next_step="compute the summary from the target when the job is done, or use another mode.",
        )
    place = {"path": wanted.path, "table": wanted.table, "format": wanted.format}
    if not mode.replaces_files:
        return TargetConfig(**place, mode="append")
    lost = [name for name in target.partitions if name not in wanted.by]
    if lost:
        raise PlanError(
            f"aggregate.by lacks {', '.join(lost)}, whose table partitions this job replaces.",
            details=[
                "the summary is replaced in the same partitions as the predictions, so that a repeated run has one"
            ],
            next_step=f"add {', '.join(lost)} to aggregate.by.",
        )
    return TargetConfig(**place, mode=target.mode, partitions=target.partitions)


def _schema(by: pa.Schema, measures: Sequence[Measure]) -> pa.Schema:
    fields = [*by, *(pa.field(each.name, each.result) for each in measures), *OF_RUN]
    names = [field.name.casefold() for field in fields]
    twice = [field.name for field in fields if names.count(field.name.casefold()) > 1]
    if twice:
        raise SchemaMismatchError(
            "Two columns of the summary have one name.",
            problems=[f"column {name!r} is there twice" for name in dict.fromkeys(twice)],
            next_step=f"give the columns of aggregate.columns other names; {', '.join(OF_RUN.names)} are there anyway.",
        )
    return pa.schema(fields)
