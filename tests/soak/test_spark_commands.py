"""Commands on Spark, as real processes: stopped in the middle, two that share a run, and rows that kill workers."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

from tests.deadly import CLASSES, EATS, HANGS, SEGFAULTS, save_deadly, write_deadly
from tests.gate import Gate
from tests.line import save_line
from tests.local.eight import FILES, ROWS, exact, write_files
from tests.soak.test_moments import finish, start

pytestmark = [pytest.mark.soak, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_line(tmp_path_factory.mktemp("line") / "model")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Eight partitions of twenty rows, a unit each."""
    rows = pq.read_table(write_files(tmp_path / "files"))
    for number in range(FILES):  # a commit each: files of one come in any order
        part = rows.slice(number * ROWS, ROWS).append_column("number", pa.array([number] * ROWS))
        write_deltalake(tmp_path / "in", part, partition_by=["number"], mode="append")
    return tmp_path / "in"


@pytest.mark.parametrize(
    ("plane", "number", "code"),
    [("direct", signal.SIGINT, 130), ("spark", signal.SIGTERM, 143)],
    ids=["Ctrl-C", "SIGTERM"],
)
def test_a_signal_stops_a_command_and_the_same_command_goes_on(
    model: str, source: Path, tmp_path: Path, plane: str, number: signal.Signals, code: int
) -> None:
    gate = Gate(tmp_path, model, source, "run", "--set", f"plane={plane}")
    with gate.command() as running:
        gate.wait_for(units=5)
        begin = time.monotonic()
        gate.signal(running, number)
        _, err = running.communicate(timeout=60)
        assert time.monotonic() - begin < 30
    assert running.returncode == code, err
    assert "5 of 8 units are done" in err
    assert "Traceback" not in err
    while gate.left_running():  # the JVM needs a moment
        assert time.monotonic() - begin < 60
        time.sleep(0.2)
    gate.open()
    with gate.command() as again:
        out, err = again.communicate(timeout=300)
    assert again.returncode == 0, err
    assert "160 rows scored" in out
    assert "8 units (5 done before)" in out, out
    exact(tmp_path / "out")


def document(model: str, source: Path, tmp_path: Path) -> dict[str, Any]:
    return {
        "model": {"uri": model},
        "source": {"path": str(source)},
        "target": {"path": str(tmp_path / "out"), "format": "delta", "mode": "append"},
        "plane": "spark",
        "units": {"bytes": 1},
        "spark": {"master": "local[1]"},
    }


def test_two_drivers_of_units_that_spark_writes_both_end_well(model: str, source: Path, tmp_path: Path) -> None:
    both = [start(document(model, source, tmp_path)) for _ in range(2)]
    told = [running.communicate(timeout=300) for running in both]
    assert [running.returncode for running in both] == [0, 0], [err[-3000:] for _, err in told]
    reports = [json.loads(out.splitlines()[-1]) for out, _ in told]
    assert len({report["run_id"] for report in reports}) == 1
    assert all(report["rows_scored"] == FILES * ROWS for report in reports)
    exact(tmp_path / "out")


def test_rows_that_hang_crash_or_eat_memory_on_the_workers_of_spark_are_set_aside(tmp_path: Path) -> None:
    bad, rows = {5: HANGS, 120: EATS, 250: SEGFAULTS}, 300
    isolated = {"isolation": {"memory_bytes": 2**28}, "predict_seconds": 2.0, "on_error": "quarantine"}
    report = finish(
        {
            "model": {"uri": save_deadly(tmp_path / "model")},
            "source": {"path": write_deadly(tmp_path / "in", rows, bad)},
            "target": {"path": str(tmp_path / "out"), "format": "delta"},
            "score": isolated,
            "quarantine": {"path": str(tmp_path / "aside"), "format": "delta", "columns": ["id"]},
            "spark": {"master": "local[2]"},
        }
    )
    assert (report["rows_scored"], report["rows_quarantined"]) == (rows - len(bad), len(bad))
    aside = DeltaTable(tmp_path / "aside").to_pyarrow_table().to_pylist()
    assert {row["id"]: row["error_class"] for row in aside} == {key: CLASSES[value] for key, value in bad.items()}
    scored = DeltaTable(tmp_path / "out").to_pyarrow_table().sort_by("id").to_pydict()
    good = [key for key in range(rows) if key not in bad]
    assert (scored["id"], scored["prediction"]) == (good, [key / 1024 for key in good])
