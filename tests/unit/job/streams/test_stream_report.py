"""The report of a stream adds up what its micro-batches did."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone

from spark_infer.job.streams.stream_report import with_batch
from spark_infer.observe.report import Report

NOTHING = Report(
    job="score",
    run_id="r",
    model_uri="models:/m@champion",
    model_name="m",
    model_version="1",
    model_digest="0" * 64,
    backend="sklearn",
    source="in",
    target="out",
    mode="append",
    rows_read=0,
    rows_scored=0,
    files_written=0,
    bytes_written=0,
    started_at=datetime(2026, 1, 1, tzinfo=timezone.utc),
    seconds={"plan": 1.0, "total": 1.0},
    nothing_new=True,
)
BATCH = replace(
    NOTHING,
    rows_read=5,
    rows_scored=4,
    rows_quarantined=1,
    bad_rows=1,
    error_classes={"ValueError": 1},
    files_written=2,
    bytes_written=100,
    target_version=7,
    target_versions=(7,),
    seconds={"plan": 1.0, "score_and_write": 2.0, "total": 3.0},
    task_seconds={"predict": 0.5},
    workers=2,
    loads=1,
    rows_predicted=5,
    nothing_new=False,
)


def test_counts_and_times_are_added_and_the_plan_was_made_once() -> None:
    one = with_batch(NOTHING, BATCH, run_id="stream")
    two = with_batch(one, replace(BATCH, target_version=9, target_versions=(9,), workers=1), run_id="stream")
    assert (two.run_id, two.micro_batches, two.nothing_new) == ("stream", 2, False)
    assert (two.rows_read, two.rows_scored, two.rows_quarantined, two.rows_predicted) == (10, 8, 2, 10)
    assert (two.target_version, two.target_versions, two.workers, two.loads) == (9, (7, 9), 2, 2)
    assert two.seconds == {"plan": 1.0, "score_and_write": 4.0, "total": 5.0}
    assert (two.task_seconds, two.error_classes) == ({"predict": 1.0}, {"ValueError": 2})
    assert "2 micro-batches" in str(two)


def test_a_version_that_changed_between_micro_batches_is_named() -> None:
    one = with_batch(NOTHING, BATCH, run_id="stream")
    two = with_batch(one, replace(BATCH, model_version="2"), run_id="stream")
    assert (two.model_version, two.warnings) == ("2", ("version 1 scored the micro-batches before version 2 did",))
    assert one.warnings == ()
