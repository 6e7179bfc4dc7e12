"""The tables that a run writes besides its target: of quarantined rows, its prediction cache, and its summary."""

from __future__ import annotations

from typing import Any

from spark_infer.engines.base import Engine
from spark_infer.engines.plane import Plane
from spark_infer.engines.prepared_job import MatchedJob
from spark_infer.job.cache_plan import CachePlan, plan_cache
from spark_infer.job.quarantine_plan import QuarantinePlan, plan_quarantine
from spark_infer.job.summary_plan import SummaryPlan, plan_summary
from spark_infer.job.units.choose_run import ChosenRun


def plan_further_tables(
    engine: Engine[Any], job: MatchedJob, run: ChosenRun, plane: Plane
) -> tuple[QuarantinePlan | None, CachePlan | None, SummaryPlan | None]:
    """Check that a job can write what it writes besides its target; None for a table that it does not have.

    Args:
        engine: Where the job will run.
        job: The job, matched to its model.
        run: Which run it is, and how it writes the target.
        plane: Who reads and writes.

    Raises:
        PlanError: It cannot.
    """
    config, ref = job.config, job.recipe.ref
    quarantine = plan_quarantine(
        engine.tables,
        config,
        ref,
        job.source,
        target=run.write,
        plane=plane,
        conf=engine.conf(),
        accounted=run.start is not None,
    )
    others = [run.write.location, *([] if quarantine is None else [quarantine.write.location])]
    cache = plan_cache(
        engine.tables, job, others=others, plane=plane, conf=engine.conf(), accounted=run.start is not None
    )
    summary = plan_summary(
        engine.tables,
        config,
        job.recipe,
        job.source,
        others=[*others, *([] if cache is None else [cache.write.location])],
        plane=plane,
        conf=engine.conf(),
        start=run.start,
    )
    return quarantine, cache, summary


def further_notes(*plans: CachePlan | SummaryPlan | None) -> tuple[str, ...]:
    """What the reader of plan and report should know of such tables, a sentence each."""
    return tuple(note for plan in plans if plan is not None for note in plan.notes)
