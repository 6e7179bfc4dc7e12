"""A model that fails for every row: what it costs until the job stops, and what becomes of a job that has no limit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spark_infer.errors import TooManyBadRowsError
from tests.local.conftest import save_from_code
from tests.local.jobs import job

pytestmark = pytest.mark.usefixtures("in_this_process")

ROWS = 100_000


def source(tmp_path: Path, rows: int) -> str:
    """Write four files."""
    (tmp_path / "in").mkdir()
    for start in range(0, rows, rows // 4):
        ids = np.arange(start, start + rows // 4)
        pq.write_table(pa.table({"id": ids, "x": np.full(len(ids), 500.0)}), tmp_path / "in" / f"{start}.parquet")
    return str(tmp_path / "in")


@pytest.fixture
def counting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A model that raises for all of these rows, and writes down how many it gets."""
    monkeypatch.setenv("SPARK_INFER_TEST_ROWS", str(tmp_path / "rows"))
    return save_from_code(tmp_path / "counting", "counting.py")


def score(limits: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    return {
        "target": {"path": str(tmp_path / "out")},
        "score": {"on_error": "quarantine", **limits},
        "quarantine": {"path": str(tmp_path / "aside"), "columns": ["id"]},
        "units": {"bytes": 1},
    }


@pytest.mark.parametrize(
    "limits", [{}, {"max_bad_fraction": 1.0, "max_bad_rows": 500}, {"batch_size": 5_000}, {"on_error": "null"}], ids=str
)
def test_a_job_with_limits_has_scored_less_than_1_percent(
    counting: str, tmp_path: Path, limits: dict[str, Any]
) -> None:
    how = score(limits, tmp_path)
    if "on_error" in limits:
        del how["quarantine"]
    with pytest.raises(TooManyBadRowsError):
        job(counting, source(tmp_path, ROWS), **how).run()
    assert 0 < sum(map(int, (tmp_path / "rows").read_text().split())) < ROWS // 100
    assert not (tmp_path / "out").exists()
    assert "on_error" in limits or pq.read_table(tmp_path / "aside").num_rows == 0


def test_a_job_without_limits_quarantines_all_rows(counting: str, tmp_path: Path) -> None:
    rows = 1_000
    report = job(counting, source(tmp_path, rows), **score({"max_bad_fraction": 1.0}, tmp_path)).run()
    assert (report.rows_read, report.rows_scored, report.rows_quarantined) == (rows, 0, rows)
    aside = pq.read_table(tmp_path / "aside").column("id").to_pylist()
    assert sorted(aside) == [*range(rows)]
