"""What a report and a refusal tell of rows that somebody might not expect: given-up runs, emptied partitions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spark_infer.errors import TargetError, UnfinishedRunError
from spark_infer.runtime.failpoints import InjectedError
from tests.local.eight import EACH, FILES, ROWS, old_rows
from tests.local.jobs import job, read, run

pytestmark = pytest.mark.usefixtures("in_this_process")


@pytest.mark.parametrize("kind", ["delta", "parquet"])
def test_rows_that_a_given_up_run_added_are_told_of_and_counted(
    line: str, files: Path, tmp_path: Path, breaks: Callable[[str], None], kind: str
) -> None:
    old_rows(line, tmp_path, kind)
    before = len(read(tmp_path / "out"))
    target = {"path": str(tmp_path / "out"), "format": kind, "mode": "append"}
    scoring = job(line, {"path": str(files)}, target, **EACH)
    breaks("publish:4:raise")
    with pytest.raises(InjectedError):
        scoring.run()
    left = len(read(tmp_path / "out")) - before
    assert left
    breaks("seal:3:raise")
    with pytest.raises(InjectedError):
        scoring.run(new_run=True)
    breaks("")
    report = scoring.run()
    assert any(f"also holds {left:,} rows of run" in warning for warning in report.warnings)
    assert len(read(tmp_path / "out")) == before + left + FILES * ROWS
    assert scoring.run(new_run=True).warnings == ()


def test_a_damaged_account_of_a_given_up_run_does_not_keep_the_next_from_its_end(
    line: str, files: Path, tmp_path: Path, breaks: Callable[[str], None]
) -> None:
    old_rows(line, tmp_path, "delta")
    scoring = job(line, {"path": str(files)}, {"path": str(tmp_path / "out"), "mode": "append"}, **EACH)
    breaks("publish:4:raise")
    with pytest.raises(InjectedError):
        scoring.run()
    breaks("seal:3:raise")
    with pytest.raises(InjectedError):
        scoring.run(new_run=True)
    breaks("")
    given_up = next(path.parent for path in (tmp_path / ".out.spark_infer").rglob("closed*"))
    next((given_up / "units").iterdir()).write_bytes(b"{")
    report = scoring.run()
    assert any("added before it was given up is not known" in warning for warning in report.warnings)
    assert report.rows_scored == FILES * ROWS


def test_columns_that_changed_are_named_one_by_one(
    line: str, files: Path, tmp_path: Path, breaks: Callable[[str], None]
) -> None:
    target = {"path": str(tmp_path / "out")}
    breaks("sealed:4:raise")
    with pytest.raises(InjectedError):
        job(line, {"path": str(files)}, target, **EACH).run()
    breaks("")
    with pytest.raises(UnfinishedRunError) as refused:
        job(line, {"path": str(files)}, {**target, "output": "guess"}, **EACH).run()
    assert "columns, prediction: double then, nothing now; columns, guess: nothing then, double now" in str(
        refused.value
    )


@pytest.mark.parametrize("kind", ["delta", "parquet"])
def test_partitions_that_got_no_row_are_named(line: str, source: Path, tmp_path: Path, kind: str) -> None:
    target: dict[str, Any] = {"path": str(tmp_path / "out"), "format": kind, "partition_by": ["part"]}
    run(line, {"path": str(source)}, target)
    replaced = {**target, "mode": "overwrite_partitions", "partitions": {"part": [1, 2]}}
    read_from = {"path": str(source), "partition_filter": {"part": [1]}}
    report = run(line, read_from, replaced)
    assert "The partition part=2 got no row and was emptied." in report.warnings
    assert {row["part"] for row in read(tmp_path / "out")} == {0, 1, 3}
    report = run(line, {**read_from, "where": "id < 0"}, replaced)
    assert [each for each in report.warnings if "emptied" in each] == [
        "The partition part=1 got no row and was emptied."
    ]


def test_rows_outside_the_declared_partitions_are_refused_before_any_is_scored(
    line: str, source: Path, tmp_path: Path
) -> None:
    target = {"path": str(tmp_path / "out"), "format": "delta", "partition_by": ["part"]}
    run(line, {"path": str(source)}, target)
    replaced = {**target, "mode": "overwrite_partitions", "partitions": {"part": [0, 2]}}
    with pytest.raises(TargetError, match="rows outside the table partitions") as refused:
        job(line, {"path": str(source)}, replaced).plan()
    assert refused.value.details[1:] == ("part = 1", "part = 3")
    rows = {"path": str(source), "partition_filter": {"part": [0, 2]}}
    assert run(line, rows, replaced).rows_scored > 0
