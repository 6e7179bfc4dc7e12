"""Processes of engine `local` share one model, with the answers that copies of it give."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spark_infer.engines.local import engine
from spark_infer.errors import ResourcesError
from tests.local.jobs import job


def test_one_load_serves_all_processes_with_the_same_answers_in_the_same_order(
    line: str, source: Path, tmp_path: Path
) -> None:
    found = {}
    for hosting in ("worker", "executor"):
        target = {"path": str(tmp_path / hosting), "format": "parquet"}
        scoring = job(line, {"path": str(source)}, target, score={"hosting": hosting, "batch_size": 60})
        plan, report = str(scoring.plan()), scoring.run()
        found[hosting] = {
            path.stem.split("-")[1]: pq.read_table(path).select(["id", "prediction"])
            for path in (tmp_path / hosting).rglob("*.parquet")
        }
        copies = "1 copy of the model, in a process" if hosting == "executor" else "copies of the model, one in each"
        assert copies in plan
        assert f"hosting: {hosting} (" in plan
        assert report.rows_scored == 1000
        assert report.loads == (1 if hosting == "executor" else report.workers)
        if hosting == "executor":
            assert report.cache_hits >= report.workers - 1
            assert (report.host_clients, report.host_restarts) == (report.workers, 0)
            assert report.hosted_batches == report.batches
            assert f"a model host for {report.workers} worker" in str(report)
        else:
            assert report.host_clients == report.hosted_batches == 0
    assert found["worker"].keys() == found["executor"].keys()
    for name, table in found["worker"].items():
        assert isinstance(table, pa.Table)
        assert table.equals(found["executor"][name])


def test_copies_that_do_not_fit_into_the_memory_become_one(
    line: str, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "whole_memory_bytes", lambda: 1000)
    plan = str(job(line, {"path": str(source)}, {"path": str(tmp_path / "out"), "format": "parquet"}).plan())
    assert "1 copy of the model, in a process that all of them feed" in plan
    assert "hosting: executor (the copies would not fit: 2 x " in plan
    assert "of the 0.00 GB that an executor has for Python" in plan
    refused = job(line, {"path": str(source)}, {"path": str(tmp_path / "out")}, score={"hosting": "worker"})
    with pytest.raises(ResourcesError, match="2 copies of the model do not fit into the memory of an executor"):
        refused.plan()
