"""Which value is best, and how the report says so."""

from __future__ import annotations

import json

import pytest

from spark_infer.job.tune.tuning import Measured, Tuning, best_of


def rates(*medians: float, spread: float = 1.1) -> list[Measured]:
    return [
        Measured(
            setting="score.batch_size", value=str(1000 * number), rows_per_second=(rate, rate / spread, rate * spread)
        )
        for number, rate in enumerate(medians, 1)
    ]


@pytest.mark.parametrize(
    ("medians", "today", "best"),
    [
        ((100.0, 200.0, 150.0), "1000", "2000"),
        ((100.0, 200.0, 150.0), "2000", None),
        ((195.0, 200.0, 198.0), "3000", None),  # as fast as any
        ((195.0, 200.0, 100.0), "3000", "1000"),  # the first of those that are as fast as any
        ((100.0,), "1000", None),
    ],
)
def test_a_value_is_changed_only_for_one_that_is_faster(
    medians: tuple[float, ...], today: str, best: str | None
) -> None:
    assert best_of(rates(*medians), today=today) == best


def test_what_one_round_says_and_another_does_not_changes_nothing() -> None:
    assert best_of(rates(100.0, 150.0, spread=1.2), today="1000") == "2000"
    assert best_of(rates(100.0, 150.0, spread=1.3), today="1000") is None


def test_what_was_found_is_told_with_its_evidence() -> None:
    found = Tuning(
        job="churn",
        sample_rows=1000,
        source_rows=50_000,
        cores=2,
        measured=(*rates(100.0, 200.0), Measured(setting="plane", value="auto", rows_per_second=(7.0,))),
        best={"score.batch_size": "2000"},
        notes=("GPUs were not measured",),
    )
    told = str(found)
    assert "churn: 1,000 of 50,000 rows measured on this machine, 2 cores; nothing was written" in told
    assert "  2000                 200 rows/s  (182 to 220)" in told
    assert told.index("score.batch_size\n") < told.index("\nplane\n")
    assert "Best: --set score.batch_size=2000" in told
    assert "! GPUs were not measured" in told
    assert json.loads(json.dumps(found.to_dict()))["best"] == {"score.batch_size": "2000"}
    same = Tuning(job="churn", sample_rows=1, source_rows=None, cores=1, measured=(), best={})
    assert "Best: the job as it is" in str(same)
