from __future__ import annotations

import pyarrow as pa

from spark_infer.job.text_table import text_table

ROWS = pa.table({"id": [1, 20], "name": ["a", None], "prediction": [0.5, 1234567.25]})


def test_rows_stand_side_by_side_where_they_fit() -> None:
    assert list(text_table(ROWS, 80)) == [
        "  id  name   prediction",
        "   1  a             0.5",
        "  20  null  1.23457e+06",
    ]


def test_each_value_has_a_line_of_its_own_where_they_do_not() -> None:
    assert list(text_table(ROWS.slice(1), 20)) == [
        "row 1",
        "  id          20",
        "  name        null",
        "  prediction  1.23457e+06",
    ]


def test_a_value_or_a_name_cannot_command_the_terminal_and_is_cut() -> None:
    lines = list(text_table(pa.table({"x\x1b[2J": ["a\nb", "c" * 100]}), 200))
    assert lines == ["  x\\x1b[2J", "  a\\nb", f"  {'c' * 39}…"]


def test_no_rows_are_the_names_alone() -> None:
    assert list(text_table(ROWS.slice(2), 80)) == ["  id  name  prediction"]
