"""Jobs of engine `local`, the rows they read and the rows they wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable

from spark_infer import Report, ScoringJob
from spark_infer.config import JobConfig


def job(model: str, source: Any, target: Any, **more: Any) -> ScoringJob:
    document = {"model": {"uri": model}, "source": source, "target": target, "engine": "local", **more}
    return ScoringJob(JobConfig.model_validate(document))


def run(model: str, source: Any, target: Any, **more: Any) -> Report:
    return job(model, source, target, **more).run()


def read(folder: Path) -> list[dict[str, Any]]:
    table = DeltaTable(folder).to_pyarrow_table() if (folder / "_delta_log").exists() else pq.read_table(folder)
    return sorted(table.to_pylist(), key=lambda row: row["id"])


def write_in(tmp_path: Path, values: list[float]) -> dict[str, str]:
    (tmp_path / "in").mkdir()
    for number, value in enumerate(values):
        rows = pa.table({"id": [number], "x": [value]})
        pq.write_table(rows, tmp_path / "in" / f"{number}.parquet")
    return {"path": str(tmp_path / "in")}
