"""Two days of one job that publish into one summary table at the same moment: each group is there once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

DAYS = ("2026-11-01", "2026-11-02")
ROWS, SEGMENTS = 400, 4
PROGRAM = "import json, sys; from tests.here import run_here; run_here(json.loads(sys.argv[1]))"


def source(folder: Path) -> str:
    """400 rows of each day."""
    ids = np.arange(2 * ROWS)
    days = np.where(ids < ROWS, *DAYS)
    pq.write_to_dataset(pa.table({"id": ids, "x": ids / 4, "segment": ids % SEGMENTS, "day": days}), folder, ["day"])
    return str(folder)


def start(model: str, tmp_path: Path, kind: str, mode: str, day: str) -> subprocess.Popen[str]:
    """Run a day in a process of its own, which stops itself before it publishes its summary."""
    replaces = {"partitions": {"day": day}, "partition_by": ["day"]} if mode == "overwrite_partitions" else {}
    document: dict[str, Any] = {
        "model": {"uri": model},
        "source": {"path": str(tmp_path / "in"), "format": "parquet", "partition_filter": {"day": day}},
        "target": {"path": str(tmp_path / "out"), "format": kind, "mode": mode, **replaces},
        "aggregate": {
            "path": str(tmp_path / "by_day"),
            "format": kind,
            "by": ["day", "segment"],
            "columns": {"rows": "count", "last": "max(id)"},
        },
        "engine": "local",
    }
    environ = {**os.environ, "SPARK_INFER_TESTING": "1", "SPARK_INFER_FAULT": "summarised:1:sigstop"}
    command = [sys.executable, "-c", PROGRAM, json.dumps(document)]
    return subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True)


def wait_until_stopped(process: subprocess.Popen[str]) -> None:
    """Wait until a process has stopped itself."""
    for _ in range(1_200):
        state = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0]
        if state == "T":
            return
        assert state != "Z", process.communicate()[1]
        time.sleep(0.05)
    raise AssertionError("it does not come to the point")


def groups(folder: Path) -> list[tuple[str, int, int, int]]:
    delta = (folder / "_delta_log").exists()
    table = DeltaTable(folder).to_pyarrow_table() if delta else pq.read_table(folder)
    rows = table.select(["day", "segment", "rows", "last"]).to_pylist()
    return sorted((str(row["day"]), row["segment"], row["rows"], row["last"]) for row in rows)


@pytest.mark.parametrize(("kind", "mode"), [("delta", "overwrite_partitions"), ("parquet", "append")])
def test_two_days_that_publish_at_the_same_moment(line: str, tmp_path: Path, kind: str, mode: str) -> None:
    source(tmp_path / "in")
    days = [start(line, tmp_path, kind, mode, day) for day in DAYS]
    try:
        for process in days:
            wait_until_stopped(process)
        for process in days:
            process.send_signal(signal.SIGCONT)
        for process in days:
            _, err = process.communicate(timeout=60)
            assert process.returncode == 0, err
    finally:
        for process in days:
            process.kill()
            process.wait()
    each = ROWS // SEGMENTS
    wanted = [
        (day, segment, each, number * ROWS + ROWS - SEGMENTS + segment)
        for number, day in enumerate(DAYS)
        for segment in range(SEGMENTS)
    ]
    assert groups(tmp_path / "by_day") == wanted
