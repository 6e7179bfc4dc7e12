from __future__ import annotations

import pytest

from spark_infer.job.units.stopped import how_far


@pytest.mark.parametrize(
    ("done", "one_by_one", "text"),
    [
        ([], True, "0 of 1,000 units are done"),
        ([0, 1, 2], False, "3 of 1,000 units are done; their rows are kept beside the target until all are"),
        ([0, 1, 2], True, "3 of 1,000 units are done, and 3 of them are in the target"),
        ([5, 0, 1], True, "3 of 1,000 units are done, and 2 of them are in the target"),
        ([5], True, "1 of 1,000 units are done, and 0 of them are in the target"),
    ],
)
def test_it_says_what_is_done_and_where_the_rows_are(done: list[int], one_by_one: bool, text: str) -> None:
    assert how_far(done, 1000, one_by_one=one_by_one) == text
