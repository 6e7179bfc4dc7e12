"""A model with memory for 37 rows: the node's workers find that out together, and later tasks and runs know it."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.local.conftest import save_from_code
from tests.local.jobs import read, run

ROOM, BATCH, FILES, ROWS_OF_FILE = 37, 1_000, 8, 1_500


def test_workers_halve_a_batch_once_for_their_node_and_later_tasks_and_runs_start_at_the_ceiling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPARK_INFER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SPARK_INFER_TEST_ROWS", str(tmp_path / "called"))
    monkeypatch.setattr("os.sched_getaffinity", lambda _process: {0, 1}, raising=False)
    model = save_from_code(tmp_path / "model", "cramped.py")
    (tmp_path / "in").mkdir()
    for number in range(FILES):
        ids = np.arange(number * ROWS_OF_FILE, (number + 1) * ROWS_OF_FILE)
        pq.write_table(pa.table({"id": ids, "x": ids / 4}), tmp_path / "in" / f"{number}.parquet")
    calls: list[list[tuple[str, int]]] = []
    for number in range(2):
        (tmp_path / "called").write_text("")
        report = run(
            model,
            {"path": str(tmp_path / "in")},
            str(tmp_path / f"out-{number}"),
            score={"batch_size": BATCH, "row_order": "trust"},
        )
        assert [row["prediction"] for row in read(tmp_path / f"out-{number}")] == [
            row / 2 for row in range(FILES * ROWS_OF_FILE)
        ]
        lines = [line.split() for line in (tmp_path / "called").read_text().splitlines()]
        calls.append([(process, int(rows)) for process, rows in lines if process != str(os.getpid())])
        failed = [rows for process, rows in calls[number] if rows > ROOM]
        assert report.out_of_memory == len(failed)
        if not number:
            workers = {process for process, _ in calls[0]}
            assert (report.workers, len(workers)) == (2, 2)  # the driver tries the model with fewer rows
            # One worker halves; the other has run out of memory once at the most before it learns of that.
            assert 0 < len(failed) <= math.ceil(math.log2(BATCH / ROOM)) + 1
            assert any("batches were cut to 31 rows: out of memory" in warning for warning in report.warnings)
    assert {rows for _, rows in calls[0] if rows <= ROOM} == {rows for _, rows in calls[1]}
    assert max(rows for _, rows in calls[1]) == BATCH // 2**5
