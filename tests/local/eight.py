"""A job of eight files for the tests of runs in units, and what its target must hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.local.jobs import job, read

FILES, ROWS = 8, 20
EACH = {"units": {"bytes": 1}}
"""Each file is a unit."""


def write_files(folder: Path) -> Path:
    """Write eight files of twenty rows: ``id``, ``x`` = id / 4 and ``part``, 0 to 3."""
    folder.mkdir()
    for number in range(FILES):
        ids = np.arange(number * ROWS, (number + 1) * ROWS)
        pq.write_table(pa.table({"id": ids, "x": ids / 4, "part": ids % 4}), folder / f"{number}.parquet")
    return folder


def exact(folder: Path, first: int = 0, copies: int = 1) -> None:
    """See that a target holds every row from one on, as often as it should, with its own prediction."""
    rows = [row for row in read(folder) if row["id"] >= first]
    assert [row["id"] for row in rows] == [i for i in range(first, FILES * ROWS) for _ in range(copies)]
    assert [row["prediction"] for row in rows] == pytest.approx([row["id"] / 2 for row in rows])


def old_rows(line: str, tmp_path: Path, kind: str) -> None:
    """A target that holds rows -4 to -1, of an earlier job."""
    (tmp_path / "old").mkdir()
    ids = np.arange(-4, 0)
    pq.write_table(pa.table({"id": ids, "x": ids / 4, "part": ids % 4}), tmp_path / "old" / "a.parquet")
    target = {"path": str(tmp_path / "out"), "format": kind, "partition_by": "part"}
    job(line, {"path": str(tmp_path / "old")}, target, name="earlier").run()
