"""The report of a run: what was scored, where it went, and where the time went."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta, timezone
from typing import Any

from spark_infer.observe.report_lines import report_lines
from spark_infer.printable import printable_lines

_TUPLES = ("warnings", "target_versions", "partition_filter", "partitions")


@dataclass(frozen=True, kw_only=True)
class Report:
    """What one run of a table job did; plain facts, no row values.

    Attributes:
        job: Name of the job.
        run_id: Unique name of this run; also in the target's history where the format has one.
        model_uri: The URI as it was asked for.
        model_name: Name in the registry, or of the folder.
        model_version: The exact version that scored every row.
        model_digest: sha256 of the model's files, in hex.
        backend: What served the model.
        params: Inference parameters of the model, with its own for those that were not given; secrets are hidden.
        job_params: Parameters of the job, such as the day.
        acceleration: How the model was asked faster than by its library alone, or why it was not; empty where no way is
            known.
        compiled: What the model was compiled to, and what the parity gate found; empty where its own library served.
        engine: What the work ran on: ``spark`` or ``local``.
        plane: Who read the rows and who wrote them.
        source: Path or name of the table that was read.
        source_version: Its version, where the format has one.
        source_since: Only rows that came after this version were read, or files beside so many; None for all rows.
        quarantined_runs: Runs whose quarantined rows were scored again; None for a run that scored its source.
        partition_filter: Which table partitions of the source were read, a condition each; empty for all.
        where: The condition on the rows.
        target: Path or name of the table that was written.
        target_version: The newest version this run made, where the format has one.
        target_versions: All versions that this command made.
        target_columns: Its columns that were written, and their types.
        mode: The write mode.
        partitions: Which table partitions of the target might be replaced, a condition each.
        rows_read: Rows that met the filters of the source.
        rows_scored: Rows that were written to the target.
        bad_rows: Those that the model failed for, and that have no prediction.
        rows_quarantined: Those that went to a table of their own instead of the target.
        quarantine: Path or name of that table; empty where there is none.
        summary: Path or name of the table that holds the run's summary; empty where there is none.
        summary_rows: Rows that this run added to it, one for each group.
        error_classes: How many of these by the class of the exception, where tasks brought that along.
        rows_predicted: Rows that the model was asked for; fewer where equal ones were predicted once, or were found in
            the prediction cache.
        cache: Path or name of the prediction cache; empty where there is none.
        prediction_cache_hits: Model inputs that were found in it; equal rows count once where these are looked for.
        prediction_cache_misses: Those that were looked up in vain, predicted and added.
        rows_replaced: Rows of the target that scored ones took the place of, by key; None but for a merge.
        rows_added: Rows that a merge added; None but for a merge.
        rows_removed: Rows that a merge removed, which are gone from the source; None where it removes none.
        files_written: Files added to the target.
        bytes_written: Their size.
        started_at: When the run started, in UTC.
        seconds: Wall time on the driver: ``resolve``, ``plan``, ``ship`` (clusters), ``score_and_write``, ``total``.
        task_seconds: Time inside the tasks, summed over them: ``load``, ``wait_for_rows``, ``prepare``,
            ``predict``, ``encode``, ``write``. Tasks run side by side, so the sum may exceed the wall time.
        loads: How often the model was loaded.
        cache_hits: How often a task found the model loaded.
        workers: Python workers that scored.
        host_clients: How many of them had a model host predict (`hosting: executor`); 0 where each had its own copy.
        hosted_batches: Model batches that hosts predicted.
        joined_batches: Those of them that went into one call with batches of other tasks.
        host_restarts: How often a host ended while a worker used it, and was started again.
        retries: Attempts of tasks that failed before another one succeeded.
        batches: Model batches.
        batch_choices: For `batch_size: auto`, how many rows of a batch were found to be best and why, and how many
            workers found that.
        rows_squared: The square of the rows of each of them, added up (`batch_rows`).
        tokens: What the predicted rows take of their batches, where the model pads these: tokens of texts.
        out_of_memory: Calls of the model that ran out of memory, after which batches were cut.
        computed_tokens: The same with padding (`padding_efficiency`).
        run: Name of the run in the ledger beside the target; empty where nobody kept one.
        units: Units of the run.
        units_before: Those that were done by an earlier command.
        rows_before: The rows of these.
        micro_batches: Those that a stream published; 0 for other runs.
        units_elsewhere: Those that another driver did at the same time.
        already_done: Whether an earlier command had done all of it, and this one did nothing.
        nothing_new: Whether the source had no row that came after `source_since`, or the quarantine none that can be
            scored again, and nothing was done.
        warnings: What the reader should know, a sentence each.

    Example:
        >>> report = ScoringJob.from_yaml("job.yaml").run(spark)
        >>> report.rows_scored, report.model_version
        (3, '1')
        >>> print(report)
        score: ...
          model   flight_delay version 1 (models:/flight_delay@champion)
        ...
    """

    job: str
    run_id: str
    model_uri: str
    model_name: str
    model_version: str
    model_digest: str
    backend: str
    params: Mapping[str, Any] = field(default_factory=dict)
    acceleration: str = ""
    compiled: str = ""
    engine: str = ""
    plane: str = ""
    source: str
    source_version: int | None = None
    source_since: int | None = None
    quarantined_runs: tuple[str, ...] | None = None
    partition_filter: tuple[str, ...] = ()
    where: str | None = None
    target: str
    target_version: int | None = None
    target_versions: tuple[int, ...] = ()
    target_columns: Mapping[str, str] = field(default_factory=dict)
    mode: str
    partitions: tuple[str, ...] = ()
    rows_read: int
    rows_scored: int
    files_written: int
    bytes_written: int
    started_at: datetime
    seconds: Mapping[str, float]
    task_seconds: Mapping[str, float] = field(default_factory=dict)
    loads: int = 0
    cache_hits: int = 0
    workers: int = 0
    host_clients: int = 0
    hosted_batches: int = 0
    joined_batches: int = 0
    host_restarts: int = 0
    retries: int = 0
    batches: int = 0
    batch_choices: Mapping[str, int] = field(default_factory=dict)
    rows_squared: int = 0
    tokens: int = 0
    computed_tokens: int = 0
    out_of_memory: int = 0
    rows_predicted: int | None = None
    cache: str = ""
    prediction_cache_hits: int = 0
    prediction_cache_misses: int = 0
    bad_rows: int = 0
    error_classes: Mapping[str, int] = field(default_factory=dict)
    rows_quarantined: int = 0
    quarantine: str = ""
    summary: str = ""
    summary_rows: int = 0
    rows_replaced: int | None = None
    rows_added: int | None = None
    rows_removed: int | None = None
    run: str = ""
    units: int = 1
    units_before: int = 0
    rows_before: int = 0
    units_elsewhere: int = 0
    micro_batches: int = 0
    already_done: bool = False
    nothing_new: bool = False
    job_params: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, int) and value < 0:
                raise ValueError(f"{name} is {value}, which is below zero")
        if self.started_at.utcoffset() != timedelta(0):
            raise ValueError("started_at is not in UTC")
        if "total" not in self.seconds:
            raise ValueError("seconds has no 'total'")
        for name, value in [*self.seconds.items(), *self.task_seconds.items()]:
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name} took {value} seconds, which no phase can")

    @classmethod
    def of_dict(cls, facts: Mapping[str, Any]) -> Report:
        """Return the report that `to_dict` wrote; what else is in the mapping is left out."""
        known = {one.name: facts[one.name] for one in fields(cls) if one.name in facts}
        started_at = datetime.fromisoformat(known["started_at"])
        return cls(**{**known, "started_at": started_at, **_tuples(known)})

    @classmethod
    def again(cls, facts: Mapping[str, Any]) -> Report:
        """Return the report of an earlier command, for one that found nothing to do."""
        return replace(cls.of_dict(facts), already_done=True)

    @property
    def rows_per_second(self) -> float | None:
        """Rows that this command scored per second of scoring and writing; None where that took no time."""
        seconds = self.seconds.get("score_and_write", self.seconds["total"])
        return (self.rows_scored - self.rows_before) / seconds if seconds > 0 else None

    @property
    def batch_rows(self) -> tuple[float, float] | None:
        """Mean and standard deviation of the rows of a model batch; None where these were not counted."""
        if not self.batches or self.rows_predicted is None:
            return None
        mean = self.rows_predicted / self.batches
        return mean, math.sqrt(max(0.0, self.rows_squared / self.batches - mean**2))

    @property
    def padding_efficiency(self) -> float | None:
        """The share of the computed tokens that are not padding; None where the model pads nothing."""
        return self.tokens / self.computed_tokens if self.computed_tokens else None

    def to_dict(self) -> dict[str, object]:
        """Return the facts as values that JSON can hold; the time as ISO 8601."""
        facts: dict[str, object] = {one.name: getattr(self, one.name) for one in fields(self)}
        facts["started_at"] = self.started_at.astimezone(timezone.utc).isoformat()
        facts["seconds"] = dict(self.seconds)
        facts["task_seconds"] = dict(self.task_seconds)
        facts |= {name: list(getattr(self, name)) for name in _TUPLES}
        facts["quarantined_runs"] = None if self.quarantined_runs is None else list(self.quarantined_runs)
        facts |= {
            name: dict(getattr(self, name))
            for name in ("params", "job_params", "target_columns", "error_classes", "batch_choices")
        }
        facts["rows_per_second"] = self.rows_per_second
        facts["padding_efficiency"] = self.padding_efficiency
        return facts

    def render(self) -> str:
        """Return the report as text of at most 100 columns, long paths aside."""
        return printable_lines(report_lines(self))

    def __str__(self) -> str:
        return self.render()

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(self.render())}</pre>"


def _tuples(known: Mapping[str, Any]) -> dict[str, tuple[Any, ...]]:
    runs = known.get("quarantined_runs")
    return {name: tuple(known.get(name, ())) for name in _TUPLES} | (
        {} if runs is None else {"quarantined_runs": tuple(runs)}
    )
