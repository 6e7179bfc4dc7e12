"""Sources that grow, an incremental job over them, and what its target holds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import write_deltalake

from spark_infer import Report, ScoringJob
from tests.local.jobs import job, read

Break = Callable[[str], None]


def append(folder: Path, first: int, count: int = 3, part: int = 0, **more: int) -> None:
    ids = pa.array(range(first, first + count), pa.int64())
    rows = pa.table({"id": ids, "x": ids.cast(pa.float64()), "part": pa.array([part] * count, pa.int32())})
    for name, value in more.items():
        rows = rows.append_column(name, pa.array([value] * count))
    write_deltalake(folder, rows, mode="append", schema_mode="merge" if more else None, partition_by=["part"])


def new_rows(model: str, here: Path, kind: str = "delta", **more: Any) -> ScoringJob:
    target = {"path": str(here / "out"), "format": kind, "mode": "append", **more.pop("target", {})}
    return job(model, more.pop("source", {"path": str(here / "in")}), target, **{"incremental": True, **more})


def predictions(here: Path) -> dict[int, float]:
    rows = read(here / "out")
    found = {row["id"]: row["prediction"] for row in rows}
    assert len(found) == len(rows), "a row is there twice"
    return found


def doubled(count: int) -> dict[int, float]:
    return {number: 2.0 * number for number in range(count)}


def counts(report: Report) -> tuple[int | None, int, bool]:
    return report.source_since, report.rows_scored, report.nothing_new


def put(here: Path, name: str, first: int, count: int = 3) -> None:
    (here / "in").mkdir(exist_ok=True)
    ids = list(range(first, first + count))
    pq.write_table(pa.table({"id": ids, "x": [float(each) for each in ids]}), here / "in" / f"{name}.parquet")
