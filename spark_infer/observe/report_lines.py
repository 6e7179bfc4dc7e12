"""A report as lines of text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from spark_infer.observe.wording import (
    columns_line,
    count,
    named_values,
    params_line,
    quarantined_line,
    seconds_text,
    selection_lines,
    since_line,
    size,
)

if TYPE_CHECKING:
    from spark_infer.observe.report import Report

BAR_WIDTH = 24

# Names of the phases in `Report.seconds` and `Report.task_seconds`, in the order they are shown.
DRIVER_PHASES = {
    "resolve": "resolve the model",
    "plan": "plan",
    "store": "store the source",
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


def report_lines(report: Report) -> Iterator[str]:
    """Write a report for people, line by line."""
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
    yield _fact("", f"{report.mode}, {count(report.files_written, 'file')}, {size(report.bytes_written)}")
    yield from (_fact("", f"table partitions with {each}") for each in report.partitions)
    if report.target_columns:
        yield _fact("", columns_line(report.target_columns))
    if report.plane:
        yield _fact("plane", report.plane + (f" (engine {report.engine})" if report.engine else ""))
    rate = report.rows_per_second
    speed = f", {rate:,.0f} rows/s" if rate else ""
    yield _fact("rows", f"{report.rows_read:,} read, {report.rows_scored:,} scored{speed}")
    if report.cache:
        yield _fact("", _cached(report))
    elif report.rows_predicted is not None and report.rows_predicted < report.rows_read - report.bad_rows:
        others = "the other good ones" if report.bad_rows else "the others"
        yield _fact("", f"{report.rows_predicted:,} predicted, {others} are equal to one of them")
    if report.computed_tokens:
        yield _fact("", _batches(report))
    for found, workers in report.batch_choices.items():
        yield _fact("", f"batch_size auto: {found} (measured by {count(workers, 'worker')})")
    if report.bad_rows:
        yield _fact("", _bad_rows(report))
    if report.summary:
        yield _fact("", f"{count(report.summary_rows, 'group')} summarised in {report.summary}")
    if report.rows_replaced is not None:
        gone = "" if report.rows_removed is None else f", {report.rows_removed:,} removed"
        yield _fact("", f"{report.rows_added or 0:,} added, {report.rows_replaced:,} in the place of older ones{gone}")
    if report.workers:
        loaded = f"{count(report.loads, 'load')} on {count(report.workers, 'worker')}"
        retries = f", {count(report.retries, 'retry', 'retries')} of tasks" if report.retries else ""
        yield _fact("loads", f"{loaded}, {count(report.cache_hits, 'cache hit')}{retries}")
        if report.host_clients:
            yield _fact("", _hosted(report))
    yield _fact("run", f"{report.run_id}, started {report.started_at:%Y-%m-%d %H:%M:%S} UTC")
    if report.run:
        yield _fact("", _units(report))
    if report.micro_batches:
        yield _fact("", count(report.micro_batches, "micro-batch", "micro-batches"))
    yield from _time(report)
    if report.warnings:
        yield ""
        yield "warnings"
        yield from (f"  ! {warning}" for warning in report.warnings)


def _batches(report: Report) -> str:
    mean, deviation = report.batch_rows or (0.0, 0.0)
    sizes = f"{count(report.batches, 'model batch', 'model batches')} of {mean:,.0f} ± {deviation:,.0f} rows"
    return f"{sizes}, {report.tokens:,} tokens, {report.padding_efficiency or 0:.0%} of those computed"


def _cached(report: Report) -> str:
    hits, misses = report.prediction_cache_hits, report.prediction_cache_misses
    equal = report.rows_read - report.bad_rows - hits - misses
    others = f", {equal:,} equal to one of these" if equal > 0 else ""
    return f"{hits:,} found in the prediction cache {report.cache}, {misses:,} predicted and added{others}"


def _hosted(report: Report) -> str:
    joined = f", {report.joined_batches:,} of them joined with those of other tasks" if report.joined_batches else ""
    ended = f"; it was started again {count(report.host_restarts, 'time')}" if report.host_restarts else ""
    batches = count(report.hosted_batches, "model batch", "model batches")
    return f"a model host for {count(report.host_clients, 'worker')}, {batches}{joined}{ended}"


def _bad_rows(report: Report) -> str:
    classes = ", ".join(f"{rows:,} {name}" for name, rows in report.error_classes.items())
    where = f"quarantined in {report.quarantine}" if report.quarantine else "without a prediction"
    return f"{report.bad_rows:,} {where}" + (f": {classes}" if classes else "")


def _headline(report: Report) -> str:
    if report.already_done:
        return f"{report.job}: nothing to do, this run is finished; what it reported:"
    if report.nothing_new:
        why = "the source has no row that is new" if report.quarantined_runs is None else "no quarantined row is left"
        return f"{report.job}: nothing to do, {why}"
    before = f", {report.rows_before:,} of them by an earlier command" if report.rows_before else ""
    return f"{report.job}: {count(report.rows_scored, 'row')} scored in {seconds_text(report.seconds['total'])}{before}"


def _units(report: Report) -> str:
    others = [
        f"{units:,} {who}"
        for units, who in ((report.units_before, "done before"), (report.units_elsewhere, "done by another driver"))
        if units
    ]
    return f"{report.run}, {count(report.units, 'unit')}" + (f" ({', '.join(others)})" if others else "")


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
        yield f"  {label:<18}{seconds_text(seconds[name]):>10}{share:>6.0%}  {bar}".rstrip()


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
