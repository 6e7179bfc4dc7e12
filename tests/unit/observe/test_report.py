from __future__ import annotations

import dataclasses
import json
import pickle
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from spark_infer.observe.report import Report
from spark_infer.observe.wording import size

FACTS: dict[str, Any] = {
    "job": "flights",
    "run_id": "8f2c",
    "model_uri": "models:/flight_delay@champion",
    "model_name": "flight_delay",
    "model_version": "3",
    "model_digest": "ab" * 32,
    "backend": "sklearn",
    "source": "demo/flights",
    "source_version": 4,
    "target": "demo/scored",
    "target_version": 0,
    "mode": "append",
    "rows_read": 80_000,
    "rows_scored": 80_000,
    "files_written": 3,
    "bytes_written": 4_123_456,
    "started_at": datetime(2025, 1, 2, 3, 4, 5, tzinfo=timezone.utc),
    "seconds": {"resolve": 0.5, "plan": 0.5, "score_and_write": 2.0, "total": 4.0},
    "task_seconds": {"predict": 3.0, "wait_for_rows": 1.0},
    "loads": 2,
    "cache_hits": 14,
    "workers": 2,
}


def report(**changes: Any) -> Report:
    return Report(**{**FACTS, **changes})


def test_batches_by_tokens_are_shown_with_their_spread_and_their_share_of_padding() -> None:
    # 4 batches of 1, 1, 3 and 3 rows; 9 of 10 tokens are the rows' own.
    counts = {"batches": 4, "rows_squared": 20, "rows_predicted": 8, "tokens": 90, "computed_tokens": 100}
    one = report(**counts)
    assert "          4 model batches of 2 ± 1 rows, 90 tokens, 90% of those computed" in str(one).splitlines()
    assert one.batch_rows == (2.0, 1.0)
    assert one.to_dict()["padding_efficiency"] == 0.9
    assert "tokens" not in str(report(**{**counts, "tokens": 0, "computed_tokens": 0}))
    assert report().batch_rows is None


def test_a_model_host_is_shown_with_who_fed_it_and_how_often_it_ended() -> None:
    counts = {"host_clients": 2, "hosted_batches": 40, "joined_batches": 12, "host_restarts": 1}
    shown = "          a model host for 2 workers, 40 model batches"
    lines = str(report(**counts)).splitlines()
    assert f"{shown}, 12 of them joined with those of other tasks; it was started again 1 time" in lines
    assert shown in str(report(host_clients=2, hosted_batches=40)).splitlines()
    assert "host" not in str(report())


def test_the_text_says_what_where_and_how_long() -> None:
    assert str(report(warnings=("one file was rewritten",))) == "\n".join(
        [
            "flights: 80,000 rows scored in 4.00 s",
            "",
            "  model   flight_delay version 3 (models:/flight_delay@champion)",
            "          digest abababababab, served by sklearn",
            "  source  demo/flights, version 4",
            "  target  demo/scored, version 0",
            "          append, 3 files, 4.1 MB",
            "  rows    80,000 read, 80,000 scored, 40,000 rows/s",
            "  loads   2 loads on 2 workers, 14 cache hits",
            "  run     8f2c, started 2025-01-02 03:04:05 UTC",
            "",
            "where the time went",
            "  resolve the model     0.50 s   12%  ███",
            "  plan                  0.50 s   12%  ███",
            "  score and write       2.00 s   50%  ████████████",
            "  other                 1.00 s   25%  ██████",
            "",
            "inside the tasks, summed",
            "  wait for rows         1.00 s   25%  ██████",
            "  predict               3.00 s   75%  ██████████████████",
            "",
            "warnings",
            "  ! one file was rewritten",
        ]
    )


def test_the_text_says_what_was_read_with_which_parameters_and_what_was_written() -> None:
    text = str(
        report(
            params={"asof": "2025-01-01", "prompt": "x" * 99},
            partition_filter=("month in [1, 2]", "day in ['2024-01-31']"),
            where="x > 0",
            mode="overwrite_partitions",
            partitions=("month in [1, 2]",),
            target_columns={"id": "bigint", "prediction": "double"},
        )
    )
    for line in (
        f"          params asof='2025-01-01', prompt='{'x' * 58}…",
        "          only table partitions with month in [1, 2]",
        "          only table partitions with day in ['2024-01-31']",
        "          only rows where x > 0",
        "          table partitions with month in [1, 2]",
        "          writes 2 columns: id, prediction",
    ):
        assert text.splitlines().count(line) == 1


def test_a_table_without_versions_and_a_run_without_rows_read_well() -> None:
    text = str(
        report(
            source_version=None,
            target_version=None,
            rows_read=1,
            rows_scored=1,
            files_written=1,
            loads=1,
            workers=1,
            cache_hits=1,
            task_seconds={},
            seconds={"total": 0.0},
        )
    )
    assert "  source  demo/flights\n" in text
    assert "1 row scored" in text
    assert "append, 1 file, " in text
    assert "1 load on 1 worker, 1 cache hit\n" in text
    assert "rows/s" not in text
    assert "time went" not in text


def test_versions_retries_and_what_a_merge_did_are_told() -> None:
    assert "scored, versions 3 to 5\n" in str(report(target_version=5, target_versions=(3, 4, 5)))
    assert "versions 3 to 9, 2 of them by this run\n" in str(report(target_version=9, target_versions=(3, 9)))
    assert "14 cache hits, 1 retry of tasks\n" in str(report(retries=1))
    assert "2 retries of tasks" in str(report(retries=2))
    assert "79,990 added, 10 in the place of older ones\n" in str(report(rows_replaced=10, rows_added=79_990))


@pytest.mark.parametrize(
    ("predicted", "bad", "line"),
    [
        (80_000, 0, ""),
        (70_000, 0, "70,000 predicted, the others are equal to one of them"),
        (0, 80_000, ""),
        (79_000, 1_000, ""),
        (70_000, 1_000, "70,000 predicted, the other good ones are equal to one of them"),
    ],
)
def test_rows_that_are_bad_are_not_said_to_be_equal_to_others(predicted: int, bad: int, line: str) -> None:
    lines = str(report(rows_scored=80_000 - bad, rows_predicted=predicted, bad_rows=bad)).splitlines()
    assert [each.strip() for each in lines if " predicted, " in each] == ([line] if line else [])


def test_a_report_comes_back_from_its_facts() -> None:
    whole = report(target_versions=(3, 4), warnings=("w",), retries=1, partitions=("p in [1]",), params={"a": [1]})
    assert Report.of_dict(json.loads(json.dumps(whole.to_dict()))) == whole


def test_the_facts_are_json_and_complete() -> None:
    facts = report(warnings=("w",)).to_dict()
    assert json.loads(json.dumps(facts)) == facts
    assert {field.name for field in dataclasses.fields(Report)} <= set(facts)
    assert facts["started_at"] == "2025-01-02T03:04:05+00:00"
    assert facts["rows_per_second"] == 40_000
    assert facts["warnings"] == ["w"]


def test_a_report_travels_and_cannot_change() -> None:
    assert pickle.loads(pickle.dumps(report())) == report()
    with pytest.raises(dataclasses.FrozenInstanceError):
        report().rows_read = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rows_read": -1}, "rows_read is -1"),
        ({"loads": -1}, "loads is -1"),
        ({"started_at": datetime(2025, 1, 1)}, "started_at is not in UTC"),
        ({"started_at": datetime(2025, 1, 1, tzinfo=timezone(timedelta(hours=1)))}, "started_at is not in UTC"),
        ({"seconds": {"plan": 1.0}}, "seconds has no 'total'"),
        ({"seconds": {"total": float("nan")}}, "total took nan seconds"),
        ({"task_seconds": {"predict": -0.5}}, "predict took -0.5 seconds"),
    ],
)
def test_a_report_that_cannot_be_true_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        report(**changes)


def test_notebooks_show_the_same_text_escaped() -> None:
    assert "<b>" not in report(job="<b>")._repr_html_()
    assert "&lt;b&gt;: 80,000 rows scored" in report(job="<b>")._repr_html_()


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (4_123_456, "4.1 MB"),
        (12 * 10**18, "12,000.0 PB"),
    ],
)
def test_sizes_are_written_in_powers_of_ten(size_bytes: int, text: str) -> None:
    assert size(size_bytes) == text
