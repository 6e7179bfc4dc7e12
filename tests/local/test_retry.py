"""Jobs that try again: after a full disk, and after a process of theirs was killed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.local.jobs import read, run, write_in

RETRY = {"attempts": 2, "backoff": 0}


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize("kind", ["delta", "parquet"])
def test_a_disk_that_was_full_is_tried_again_and_units_that_are_done_are_not(
    line: str, tmp_path: Path, breaks: Callable[[str], None], kind: str
) -> None:
    source, target = write_in(tmp_path, [1.0, 2.0, 3.0]), {"path": str(tmp_path / "out"), "format": kind}
    breaks("seal:2:enospc")
    with pytest.raises(OSError, match="No space left"):
        run(line, source, target, units={"bytes": 1}, retry=None)
    breaks("place:2:enospc")
    report = run(line, source, target, units={"bytes": 1}, retry=RETRY)
    assert (report.units, report.rows_scored) == (3, 3)
    assert [row["prediction"] for row in read(tmp_path / "out")] == [2.0, 4.0, 6.0]


def test_a_process_that_was_killed_is_started_again(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = write_in(tmp_path, [1.0, 2.0]), {"path": str(tmp_path / "out"), "format": "delta"}
    monkeypatch.setenv("SPARK_INFER_TESTING", "1")
    monkeypatch.setenv("SPARK_INFER_FAULT", f"batch:1:sigkill:{tmp_path}/once")
    run(line, source, target, retry=RETRY)
    assert (tmp_path / "once").exists()
    assert [row["prediction"] for row in read(tmp_path / "out")] == [2.0, 4.0]
