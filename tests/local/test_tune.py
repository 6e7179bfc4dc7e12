"""Tuning measures the job's own rows and leaves nothing behind."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from spark_infer import Report, ScoringJob
from spark_infer.config import JobConfig, ResourceOptions
from spark_infer.engines.local.engine import LocalEngine
from spark_infer.engines.parity_rows import from_files
from spark_infer.errors import PlanError
from spark_infer.job.tune.measure import tune
from spark_infer.job.tune.sample_table import some_rows, write_sample
from spark_infer.tables.scan.task import Piece, Scan, ScanTask
from tests.local.conftest import save_from_code


@pytest.fixture
def line(row_by_row: str) -> str:
    return row_by_row


def config(model: str, source: Path, target: Path, **more: object) -> JobConfig:
    document = {"model": {"uri": model}, "source": {"path": str(source), **more}, "target": {"path": str(target)}}
    return JobConfig.model_validate({**document, "engine": "local"})


@pytest.mark.parametrize("tasks", ["in this process", pytest.param("in processes", marks=pytest.mark.soak)])
def test_batch_sizes_and_cores_are_measured_on_rows_of_the_table(
    line: str, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, tasks: str
) -> None:
    if tasks == "in this process":
        request.getfixturevalue("in_this_process")
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    engine = LocalEngine(ResourceOptions())
    found = tune(engine, config(line, source, tmp_path / "out", where="id >= 100"), sample_rows=500)
    assert (found.job, found.sample_rows, found.source_rows) == ("score", 500, None)
    by_setting: dict[str, list[str]] = {each.setting: [] for each in found.measured}
    for each in found.measured:
        by_setting[each.setting].append(each.value)
        assert len(each.rows_per_second) == 3
        assert min(each.rows_per_second) > 0
    assert by_setting["score.batch_size"] == ["65536", "1000"]
    assert by_setting.get("resources.cpus", ["1"])[0] == "1"
    assert set(found.best) <= set(by_setting)
    assert {path.name for path in tmp_path.iterdir()} == {"in", "tmp"}
    assert not list((tmp_path / "tmp").iterdir())


def test_a_table_without_rows_cannot_be_measured(line: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    empty = pa.table({"id": pa.array([], pa.int64()), "x": pa.array([], pa.float64())})
    pq.write_table(empty, tmp_path / "in" / "a.parquet")
    with pytest.raises(PlanError, match="has no rows to measure"):
        tune(LocalEngine(ResourceOptions()), config(line, tmp_path / "in", tmp_path / "out"))


def test_the_sample_is_spread_over_the_table_and_written_in_files_for_every_core(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    tasks = []
    for number in range(40):
        path = tmp_path / "in" / f"{number:02}.parquet"
        pq.write_table(pa.table({"n": np.full(100, number)}), path)
        tasks.append(ScanTask(number, (Piece(path=path.name, size=path.stat().st_size),)))
    scan = Scan(uri=f"file://{tmp_path / 'in'}", schema=pa.schema([("n", pa.int64())]))
    rows = some_rows(scan, tasks, 160)
    assert rows.num_rows == 160
    assert sorted(set(rows["n"].to_pylist())) == [number * 40 // 16 for number in range(16)]
    write_sample(rows, tmp_path / "sample", 8)
    assert len(list((tmp_path / "sample").iterdir())) == 8
    assert pq.read_table(tmp_path / "sample").equals(rows)


def test_a_sample_is_full_where_one_file_has_most_of_the_rows(tmp_path: Path) -> None:
    tasks = []
    for number, count in enumerate([*[1] * 40, 3_000, *[1] * 7]):
        path = tmp_path / f"{number:02}.parquet"
        pq.write_table(pa.table({"n": np.full(count, number)}), path)
        size = path.stat().st_size
        tasks.append(ScanTask(number, (Piece(path=path.name, size=size, weight=size),)))
    scan = Scan(uri=f"file://{tmp_path}", schema=pa.schema([("n", pa.int64())]))
    assert some_rows(scan, tasks, 1_000).num_rows == 1_000
    sample = from_files(scan, tuple(tasks))
    assert sample.rows == 2_000
    assert sample.first(256).rows == 256
    assert len(sample.first(256).batches) == len(sample.batches) > 8
    assert some_rows(scan, tasks[:40], 1_000).num_rows == 16
    assert some_rows(scan, [], 1_000).num_rows == 0


def test_each_worker_measures_a_batch_size_where_the_job_asks_for_that(tmp_path: Path, in_this_process: None) -> None:
    model = save_from_code(tmp_path / "model", "levelling.py")
    rows = pa.table({"id": np.arange(7_000), "x": np.arange(7_000) / 4})
    (tmp_path / "many").mkdir()
    pq.write_table(rows, tmp_path / "many" / "a.parquet")
    document = config(model, tmp_path / "many", tmp_path / "out").model_dump() | {"score": {"batch_size": "auto"}}
    job = ScoringJob(JobConfig.model_validate(document))
    plan = job.plan()
    assert any("as many rows as each worker measures to be fast" in step for step in plan.steps)
    assert any("if this model looks at the rows beside one" in warning for warning in plan.warnings)
    report = job.run()
    assert pq.read_table(tmp_path / "out").sort_by("id")["prediction"].equals(pc.multiply(rows["x"], 2))
    ((found, workers),) = report.batch_choices.items()
    assert (workers, f"batch_size auto: {found} (measured by 1 worker)" in str(report)) == (1, True)
    assert int(found.split()[0]) in (128, 256, 512)  # 128 on a machine that does nothing else
    assert Report.of_dict(report.to_dict()).batch_choices == report.batch_choices
