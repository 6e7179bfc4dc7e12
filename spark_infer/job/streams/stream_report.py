"""The report of a stream: what its micro-batches did together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from spark_infer.observe.report import Report

_SUMS = (
    "rows_read",
    "rows_scored",
    "rows_predicted",
    "bad_rows",
    "rows_quarantined",
    "files_written",
    "bytes_written",
    "loads",
    "cache_hits",
    "retries",
    "batches",
    "rows_squared",
    "tokens",
    "computed_tokens",
    "out_of_memory",
    "hosted_batches",
    "joined_batches",
    "host_restarts",
)

_MOST_VERSIONS = 1_000
"""Versions of the target that a report names; a stream may go on for years."""


def with_batch(stream: Report, batch: Report, *, run_id: str) -> Report:
    """Add the report of a micro-batch to that of its stream.

    Args:
        stream: What was done before.
        batch: What was done now.
        run_id: The stream.
    """
    own = (name for name in batch.seconds if name == "score_and_write")
    seconds = {**stream.seconds, **{name: stream.seconds.get(name, 0.0) + batch.seconds[name] for name in own}}
    seconds["total"] = sum(each for name, each in seconds.items() if name != "total")
    sums: dict[str, Any] = {name: (getattr(stream, name) or 0) + (getattr(batch, name) or 0) for name in _SUMS}
    return replace(
        stream,
        **sums,
        run_id=run_id,
        model_uri=batch.model_uri,
        model_name=batch.model_name,
        model_version=batch.model_version,
        model_digest=batch.model_digest,
        backend=batch.backend,
        target_version=batch.target_version,
        target_versions=(*stream.target_versions, *batch.target_versions)[-_MOST_VERSIONS:],
        target_columns=batch.target_columns,
        seconds=seconds,
        task_seconds=_added(stream.task_seconds, batch.task_seconds),
        error_classes=_added(stream.error_classes, batch.error_classes),
        batch_choices=_added(stream.batch_choices, batch.batch_choices),
        workers=max(stream.workers, batch.workers),
        host_clients=max(stream.host_clients, batch.host_clients),
        micro_batches=stream.micro_batches + 1,
        nothing_new=False,
        warnings=tuple(dict.fromkeys([*stream.warnings, *batch.warnings, *_other_model(stream, batch)])),
    )


def _other_model(stream: Report, batch: Report) -> Iterator[str]:
    if stream.micro_batches and stream.model_version != batch.model_version:
        yield f"version {stream.model_version} scored the micro-batches before version {batch.model_version} did"


def _added(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in dict.fromkeys([*one, *other])}
