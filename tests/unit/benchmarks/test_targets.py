"""The targets and whether a measurement meets them."""

from __future__ import annotations

from benchmarks.cost import Cost
from benchmarks.rounds import Run
from benchmarks.targets import RIVALS, TARGETS, outcomes

ROWS = 100


def _runs(engine: str, *seconds: float, rows: int = ROWS) -> list[Run]:
    return [
        Run(engine=engine, round=i, place=0, cost=Cost(seconds=each, cpu_seconds=0, other_cpu_seconds=0), rows=rows)
        for i, each in enumerate(seconds)
    ]


def test_a_target_is_met_when_the_median_of_the_paired_ratios_reaches_it() -> None:
    runs = _runs("spark_infer", 1, 2, 4) + _runs("mlflow spark_udf", 1.2, 2.6, 5.2)
    udf, _, _ = outcomes("W2", runs, ROWS)
    assert udf.ratio is not None
    assert (udf.engine, udf.target, udf.ratio.median, udf.is_met) == ("mlflow spark_udf", 1.3, 1.3, True)


def test_a_target_just_above_the_median_is_missed() -> None:
    udf, _, _ = outcomes("W2", _runs("spark_infer", 1, 1) + _runs("mlflow spark_udf", 1.29, 1.29), ROWS)
    assert not udf.is_met


def test_of_ray_and_daft_the_one_with_the_smallest_median_counts() -> None:
    runs = _runs("spark_infer", 1, 1) + _runs("Ray Data", 2, 2) + _runs("Daft", 1.5, 1.5)
    _, best, _ = outcomes("W4", runs, ROWS)
    assert (best.engine, best.is_met) == ("Daft", True)


def test_the_limit_is_faster_so_its_target_lies_below_one() -> None:
    _, _, limit = outcomes("W1", _runs("spark_infer", 1.0) + _runs("limit (no Spark)", 0.84), ROWS)
    assert limit.ratio is not None
    assert (limit.ratio.median, limit.is_met) == (0.84, False)


def test_what_was_not_timed_is_not_met() -> None:
    for outcome in outcomes("W1", _runs("spark_infer", 1.0), ROWS):
        assert (outcome.engine, outcome.ratio, outcome.is_met) == (None, None, False)


def test_runs_on_the_smaller_table_do_not_count() -> None:
    runs = _runs("spark_infer", 1) + _runs("mlflow spark_udf", 2) + _runs("mlflow spark_udf", 50, rows=ROWS // 4)
    udf, _, _ = outcomes("W1", runs, ROWS)
    assert udf.ratio is not None
    assert udf.ratio.median == 2


def test_a_workload_without_a_target_is_compared_all_the_same() -> None:
    udf, _, _ = outcomes("W0-5", _runs("spark_infer", 1) + _runs("mlflow spark_udf", 3), ROWS)
    assert udf.ratio is not None
    assert (udf.target, udf.ratio.median, udf.is_met) == (None, 3, False)


def test_every_workload_has_a_target_for_each_rival() -> None:
    assert {len(targets) for targets in TARGETS.values()} == {len(RIVALS)}
