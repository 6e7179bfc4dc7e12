"""A micro-batch of which rows go to the table of quarantined rows, where Spark scores and writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from spark_infer.config.write_modes import MODES
from spark_infer.core.bad_rows import BadRowLimits, with_errors
from spark_infer.core.stats import TaskTotals
from spark_infer.engines.prepared_job import PreparedJob
from spark_infer.engines.spark.whole_write import SparkWriter, scored_rows
from spark_infer.models.recipe import Recipe
from spark_infer.runtime.process_state import this_process
from spark_infer.spark.tables.apart import REASON, ScoredApart, no_rows, scored_apart
from spark_infer.spark.tables.write import write
from spark_infer.tables.formats import format_of
from spark_infer.tables.plan import WritePlan, Written
from spark_infer.tables.predicate import partition_scope


class QuarantiningWriter(SparkWriter):
    """Scores rows once, adds the bad ones to the table of quarantined rows, then the others to the target.

    Each is one commit of its table. Where a batch comes again whose bad rows were published and the others were not,
    its bad rows are replaced: a model that has changed since may fail for others.
    """

    def make_empty(self, facts: Mapping[str, str | int | float]) -> None:
        """Make those of both tables that do not exist, without rows."""
        if self._job.write.creates:
            super().make_empty(facts)
        aside = self._job.quarantine
        if aside is not None and aside.write.creates:
            self._in_time(partial(write, no_rows(self._spark, aside.schema), aside.write, facts=facts))

    def write(
        self, facts: Mapping[str, str | int | float], txn: tuple[str, int] | None
    ) -> tuple[Written, TaskTotals | None]:
        """Score in one action, and write in one or two more."""
        done: tuple[Written, TaskTotals | None] = self._in_time(partial(self._write_both, facts, txn))
        return done

    def _write_both(
        self, facts: Mapping[str, str | int | float], txn: tuple[str, int] | None
    ) -> tuple[Written, TaskTotals | None]:
        job = self._job
        scoring = replace(job.scoring, recipe=_with_reasons(job))
        scored = scored_rows(self._source, job.config, scoring, job.plane, started_at=job.started_at)
        with scored_apart(scored.frame) as apart:
            totals = scored.totals()
            if apart.rows:
                why = next(iter(apart.classes), "")
                BadRowLimits.of(job.config.score).refuse(apart.bad, apart.rows, why=why, whole=True)
            was_published = self._is_aside(txn)
            if apart.bad or was_published:
                self._write_aside(apart, facts, txn, again=was_published)
                this_process().failpoints.reach("quarantined")
            written = write(apart.good_rows(job.schema.names), job.write, facts=facts, txn=txn)
        if totals is not None:
            totals = replace(totals, error_classes=apart.classes)
        return replace(written, quarantined=apart.bad), totals

    def _is_aside(self, txn: tuple[str, int] | None) -> bool:
        """Whether the bad rows of this batch were published before."""
        aside = self._job.quarantine
        storage = None if aside is None else aside.write.location.storage()
        if aside is None or storage is None or txn is None:
            return False
        stream, number = txn
        return format_of(aside.write.location.format).written.newest_batch(storage, stream) == number

    def _write_aside(
        self, apart: ScoredApart, facts: Mapping[str, str | int | float], txn: tuple[str, int] | None, *, again: bool
    ) -> None:
        job, aside = self._job, self._job.quarantine
        if aside is None:
            return
        stream, number = txn or ("", 0)
        ref = job.recipe.ref
        values = {
            "source_file": None,
            "source_row": None,
            "unit": number,
            "model_name": ref.name,
            "model_version": str(ref.version),
            "scored_at": job.started_at,
            "run_id": stream,
        }
        rows = apart.bad_rows(aside.schema, values)
        if again:
            write(rows, _in_place_of(aside.write, stream, number), facts=facts)
        else:
            write(rows, aside.write, facts=facts, txn=txn)


def _in_place_of(plan: WritePlan, stream: str, number: int) -> WritePlan:
    """The write that replaces the bad rows of a batch."""
    types = {"run_id": "string", "unit": "int"}
    scope, _ = partition_scope({"run_id": (stream,), "unit": (number,)}, types)
    return replace(plan, mode=next(mode for mode in MODES.values() if mode.replaces_partitions), scope=scope)


def _with_reasons(job: PreparedJob) -> Recipe:
    """The recipe, with the column that says why a row is bad, and those that are kept of such rows."""
    recipe = job.recipe
    columns = () if job.quarantine is None else job.quarantine.columns
    return replace(
        recipe,
        keep=tuple(dict.fromkeys([*recipe.keep, *columns])),
        outputs=with_errors(recipe.outputs, REASON),
        error_column=REASON,
        hidden=(),  # Spark does not say where a row stands
    )
