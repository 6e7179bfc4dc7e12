"""Which runs of two slices of a job may be at work at once, by what they read and what they replace."""

from __future__ import annotations

from typing import Any

import pytest

from spark_infer.job.units.overlap import _why
from spark_infer.job.units.slices import slice_in, slice_key, slice_named


def facts(mode: str = "append", **more: Any) -> dict[str, Any]:
    """Facts of a run on version 1 of a table; ``partitions`` are the target's."""
    return {
        "params": more.get("params", {}),
        "source version": more.get("version", "version 1 of table t"),
        "where": more.get("where"),
        "partition_filter": more.get("partition_filter", {}),
        "source files": more.get("files"),
        "target settings": {"mode": mode, "partitions": more.get("partitions", {})},
    }


DAY_1, DAY_2, BOTH = {"day": [1]}, {"day": [2]}, {"DAY": [1, 2]}


@pytest.mark.parametrize(
    ("before", "now", "why"),
    [
        (facts(partition_filter=DAY_1), facts(partition_filter=DAY_2), ""),
        (facts(partition_filter=DAY_1), facts(partition_filter=BOTH), "both read the same rows"),
        (facts(partition_filter=BOTH), facts(partition_filter=DAY_2), "both read the same rows"),
        (facts(), facts(partition_filter=DAY_2), "both read the same rows"),
        (facts(partition_filter=DAY_2), facts(version="version 2 of table t"), "both read the same rows"),
        (facts(where="day = 1"), facts(where="day = 2"), ""),
        (facts(where="day = 1", params={"p": "1"}), facts(where="day  =  1"), "both read the same rows"),
        (facts("merge", partition_filter=DAY_1), facts("merge", partition_filter=DAY_2), ""),
        (facts("overwrite_partitions", partitions=DAY_1), facts("overwrite_partitions", partitions=DAY_2), ""),
        (
            facts("overwrite_partitions", partitions={"day": [1], "hour": [1]}),
            facts("overwrite_partitions", partitions={"Day": ["1"], "hour": [2]}),
            "",
        ),
        (
            facts("overwrite_partitions", partitions=DAY_1),
            facts("overwrite_partitions", partitions=BOTH),
            "both replace the same table partitions",
        ),
        (
            facts("overwrite_partitions", partitions=DAY_1),
            facts("overwrite_partitions", partitions={"region": ["eu"]}),
            "both replace the same table partitions",
        ),
        (
            facts("overwrite", partition_filter=DAY_1),
            facts(partition_filter=DAY_2),
            "an overwrite replaces the rows of both",
        ),
        (
            facts("error_if_exists", partition_filter=DAY_1),
            facts("error_if_exists", partition_filter=DAY_2),
            "one of them makes the table, with mode error_if_exists",
        ),
    ],
)
def test_two_runs_overlap_where_they_read_or_replace_the_same(before: Any, now: Any, why: str) -> None:
    assert _why(before, now) == why


def test_a_slice_is_one_however_it_is_spelled() -> None:
    one = slice_in(facts(partition_filter={"Day": [2, 1]}))
    assert one == slice_in(facts(partition_filter={"day": ["1", "2"]}))
    assert slice_key(one) != slice_key(slice_in(facts(partition_filter=DAY_1))) != ""
    assert slice_key(slice_in(facts())) == ""
    assert slice_key(slice_in(facts(params={"day": "1"}))) != slice_key(slice_in(facts(params={"day": "2"})))


def test_a_slice_is_named_by_its_parameters_or_its_partitions() -> None:
    assert slice_named(facts(params={"day": "2026-11-28"}, partition_filter=DAY_1)) == ["day=2026-11-28"]
    assert slice_named(facts(partition_filter=DAY_1)) == ["day in [1]"]
