"""The report of a run: what was scored, where it went, and where the time went."""

from __future__ import annotations

import html
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from spark_infer.printable import printable_lines

BAR_WIDTH = 24
_MOST_LETTERS = 60

# Names of the phases in `Report.seconds` and `Report.task_seconds`, in the order they are shown.
DRIVER_PHASES = {
    "resolve": "resolve the model",
    "plan": "plan",
    "ship": "ship the model",
    "score_and_write": "score and write",
}
TASK_PHASES = {
    "load": "load the model",
    "wait_for_rows": "wait for rows",
    "prepare": "prepare",
    "predict": "predict",
    "encode": "encode",
    "write": "write files",
}

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
        rows_predicted: Rows that the model was asked for; fewer where equal ones were predicted once.
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
        retries: Attempts of tasks that failed before another one succeeded.
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
    retries: int = 0
    rows_predicted: int | None = None
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

    def to_dict(self) -> dict[str, object]:
        """Return the facts as values that JSON can hold; the time as ISO 8601."""
        facts: dict[str, object] = {one.name: getattr(self, one.name) for one in fields(self)}
        facts["started_at"] = self.started_at.astimezone(UTC).isoformat()
        facts["seconds"] = dict(self.seconds)
        facts["task_seconds"] = dict(self.task_seconds)
        facts |= {name: list(getattr(self, name)) for name in _TUPLES}
        facts["quarantined_runs"] = None if self.quarantined_runs is None else list(self.quarantined_runs)
        facts |= {
            name: dict(getattr(self, name)) for name in ("params", "job_params", "target_columns", "error_classes")
        }
        facts["rows_per_second"] = self.rows_per_second
        return facts

    def render(self) -> str:
        """Return the report as text of at most 100 columns, long paths aside."""
        return printable_lines(_lines(self))

    def __str__(self) -> str:
        return self.render()

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(self.render())}</pre>"


def _tuples(known: Mapping[str, Any]) -> dict[str, tuple[Any, ...]]:
    runs = known.get("quarantined_runs")
    return {name: tuple(known.get(name, ())) for name in _TUPLES} | (
        {} if runs is None else {"quarantined_runs": tuple(runs)}
    )


def _lines(report: Report) -> Iterator[str]:
    yield _headline(report)
    yield ""
    if report.job_params:
        yield _fact("params", ", ".join(named_values(report.job_params)))
    yield _fact("model", f"{report.model_name} version {report.model_version} ({report.model_uri})")
    yield _fact("", f"digest {report.model_digest[:12]}, served by {report.backend}")
    if report.params:
        yield _fact("", params_line(report.params))
    if report.acceleration:
        yield _fact("", f"acceleration: {report.acceleration}")
    if report.compiled:
        yield _fact("", f"compiled {report.compiled}")
    yield _fact("source", report.source + _version(report.source_version))
    if report.source_since is not None:
        yield _fact("", since_line(report.source_since, report.source_version))
    if report.quarantined_runs is not None:
        yield _fact("", quarantined_line(report.quarantined_runs))
    yield from (_fact("", line) for line in selection_lines(report.partition_filter, report.where))
    yield _fact("target", report.target + _versions(report))
    yield _fact("", f"{report.mode}, {_count(report.files_written, 'file')}, {size(report.bytes_written)}")
    yield from (_fact("", f"table partitions with {each}") for each in report.partitions)
    if report.target_columns:
        yield _fact("", columns_line(report.target_columns))
    if report.plane:
        yield _fact("plane", report.plane + (f" (engine {report.engine})" if report.engine else ""))
    rate = report.rows_per_second
    speed = f", {rate:,.0f} rows/s" if rate else ""
    yield _fact("rows", f"{report.rows_read:,} read, {report.rows_scored:,} scored{speed}")
    if report.rows_predicted is not None and report.rows_predicted < report.rows_read - report.bad_rows:
        others = "the other good ones" if report.bad_rows else "the others"
        yield _fact("", f"{report.rows_predicted:,} predicted, {others} are equal to one of them")
    if report.bad_rows:
        yield _fact("", _bad_rows(report))
    if report.summary:
        yield _fact("", f"{_count(report.summary_rows, 'group')} summarised in {report.summary}")
    if report.rows_replaced is not None:
        gone = "" if report.rows_removed is None else f", {report.rows_removed:,} removed"
        yield _fact("", f"{report.rows_added or 0:,} added, {report.rows_replaced:,} in the place of older ones{gone}")
    if report.workers:
        loaded = f"{_count(report.loads, 'load')} on {_count(report.workers, 'worker')}"
        retries = f", {_count(report.retries, 'retry', 'retries')} of tasks" if report.retries else ""
        yield _fact("loads", f"{loaded}, {_count(report.cache_hits, 'cache hit')}{retries}")
    yield _fact("run", f"{report.run_id}, started {report.started_at:%Y-%m-%d %H:%M:%S} UTC")
    if report.run:
        yield _fact("", _units(report))
    if report.micro_batches:
        yield _fact("", _count(report.micro_batches, "micro-batch", "micro-batches"))
    yield from _time(report)
    if report.warnings:
        yield ""
        yield "warnings"
        yield from (f"  ! {warning}" for warning in report.warnings)


def _bad_rows(report: Report) -> str:
    classes = ", ".join(f"{count:,} {name}" for name, count in report.error_classes.items())
    where = f"quarantined in {report.quarantine}" if report.quarantine else "without a prediction"
    return f"{report.bad_rows:,} {where}" + (f": {classes}" if classes else "")


def _headline(report: Report) -> str:
    if report.already_done:
        return f"{report.job}: nothing to do, this run is finished; what it reported:"
    if report.nothing_new:
        why = "the source has no row that is new" if report.quarantined_runs is None else "no quarantined row is left"
        return f"{report.job}: nothing to do, {why}"
    before = f", {report.rows_before:,} of them by an earlier command" if report.rows_before else ""
    return f"{report.job}: {_count(report.rows_scored, 'row')} scored in {_seconds(report.seconds['total'])}{before}"


def since_line(since: int, version: int | None) -> str:
    """Say which rows an incremental run reads; of a source without versions, beside how many files."""
    if version is None:
        return f"only files that are new beside {since:,} others"
    return f"only rows that are new after version {since}"


def quarantined_line(run_ids: Sequence[str]) -> str:
    """Say that quarantined rows are scored again, and of which runs."""
    return f"only rows quarantined by {f'run {run_ids[0]}' if len(run_ids) == 1 else _count(len(run_ids), 'run')}"


def _units(report: Report) -> str:
    others = [
        f"{count:,} {who}"
        for count, who in ((report.units_before, "done before"), (report.units_elsewhere, "done by another driver"))
        if count
    ]
    return f"{report.run}, {_count(report.units, 'unit')}" + (f" ({', '.join(others)})" if others else "")


def _time(report: Report) -> Iterator[str]:
    phases = {name: seconds for name, seconds in report.seconds.items() if name != "total"}
    rest = report.seconds["total"] - sum(phases.values())
    if rest > 0.01 * report.seconds["total"]:
        phases["other"] = rest
    if phases:
        yield ""
        yield "where the time went"
        yield from _bars(phases, DRIVER_PHASES)
    if any(report.task_seconds.values()):
        yield ""
        yield "inside the tasks, summed"
        yield from _bars(report.task_seconds, TASK_PHASES)


def _bars(seconds: Mapping[str, float], labels: Mapping[str, str]) -> Iterator[str]:
    total = sum(seconds.values()) or 1.0
    known = [name for name in labels if name in seconds]
    for name in [*known, *(name for name in seconds if name not in labels)]:
        share = seconds[name] / total
        bar = "█" * round(share * BAR_WIDTH)
        label = labels.get(name, name.replace("_", " "))
        yield f"  {label:<18}{_seconds(seconds[name]):>10}{share:>6.0%}  {bar}".rstrip()


def _fact(label: str, text: str) -> str:
    return f"  {label:<8}{text}"


def _version(version: int | None) -> str:
    return "" if version is None else f", version {version}"


def _versions(report: Report) -> str:
    made = report.target_versions
    if len(made) < 2:
        return _version(report.target_version)
    whole = made[-1] - made[0] == len(made) - 1
    return f", versions {made[0]} to {made[-1]}" + ("" if whole else f", {len(made):,} of them by this run")


def _count(count: int, noun: str, nouns: str = "") -> str:
    return f"{count:,} {noun if count == 1 else nouns or noun + 's'}"


def _seconds(seconds: float) -> str:
    return f"{seconds:,.2f} s" if seconds < 100 else f"{seconds:,.0f} s"


def named_values(values: Mapping[str, Any]) -> list[str]:
    """Write the parameters of a job for people, and as the command line takes them."""
    return [f"{name}={value}" for name, value in values.items()]


def params_line(params: Mapping[str, Any]) -> str:
    """Write inference parameters for people, in one line."""
    return "params " + ", ".join(f"{name}={_short(repr(value))}" for name, value in params.items())


def selection_lines(partition_filter: Sequence[str], where: str | None) -> Iterator[str]:
    """Say which rows of a source are read, a line for each condition."""
    yield from (f"only table partitions with {each}" for each in partition_filter)
    if where is not None:
        yield f"only rows where {where}"


def columns_line(columns: Mapping[str, str]) -> str:
    """Name the columns that are written."""
    return f"writes {_count(len(columns), 'column')}: {', '.join(columns)}"


def _short(text: str) -> str:
    return text if len(text) <= _MOST_LETTERS else text[: _MOST_LETTERS - 1] + "…"


def size(size_bytes: int) -> str:
    """Write a number of bytes for people: ``4.1 MB`` (powers of ten, as disks and object stores count)."""
    if size_bytes < 1000:
        return _count(size_bytes, "byte")
    value = float(size_bytes)
    for unit in ("kB", "MB", "GB", "TB", "PB"):
        value /= 1000
        if value < 999.95 or unit == "PB":
            break
    return f"{value:,.1f} {unit}"
