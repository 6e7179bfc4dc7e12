"""A preview takes some rows all the way on the workers, and leaves no trace."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake

from spark_infer import PlanError, Preview, score_table
from spark_infer.engines.local import preview_tasks as local_preview
from spark_infer.errors import ConfigError
from tests.here import tasks_here
from tests.local.conftest import children
from tests.local.eight import EACH
from tests.local.jobs import job, read


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_preview, "do_tasks", tasks_here)


def everything(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_a_preview_shows_what_a_run_writes_and_writes_nothing(
    request: pytest.FixtureRequest, line: str, files: Path, tmp_path: Path
) -> None:
    scoring = job(line, {"path": str(files)}, {"path": str(tmp_path / "out")}, **EACH)
    before = everything(tmp_path)
    preview = scoring.preview(rows=30)
    assert everything(tmp_path) == before
    assert not children()
    assert (preview.rows_scored, preview.rows.num_rows) == (40, 30)  # of two files
    for fixture in ("here", "in_this_process"):  # the first preview had processes of its own
        request.getfixturevalue(fixture)
    scoring.run()
    written = read(tmp_path / "out")[:30]
    shown = preview.rows.to_pylist()
    assert [row.pop("scored_at").tzname() for row in shown] == ["UTC"] * 30
    assert shown == [{name: row[name] for name in shown[0]} for row in written]
    assert list(preview.rows.column_names) == [name for name in written[0] if name != "scored_at"] + ["scored_at"]
    assert str(preview).splitlines()[0] == "score: 40 rows scored, nothing is written"
    assert scoring.preview(rows=1).rows.column("prediction").to_pylist() == [0.0]  # of a job that is finished


def test_conditions_partitions_steps_and_versions_hold_for_a_preview(here: None, line: str, tmp_path: Path) -> None:
    for first in (0, 100):
        rows = pa.table({"id": range(first, first + 100), "x": [1.0] * 100, "part": [first // 100] * 100})
        write_deltalake(tmp_path / "in", rows, mode="append", partition_by=["part"])
    source: dict[str, Any] = {"path": str(tmp_path / "in"), "where": "id > 90"}
    target = {"path": str(tmp_path / "out"), "keep": ["id"]}
    high = {"kind": "threshold", "column": "prediction", "at": 3.0, "output": "high"}
    everywhere = job(line, source, target, score={"postprocess": [high]}).preview(rows=100)
    assert everywhere.rows.column("high").to_pylist() == [False] * 100
    assert sorted(everywhere.rows.column("id").to_pylist()) == [*range(91, 191)]
    assert everywhere.source_version == 1
    earlier = job(line, {**source, "version": 0}, target).preview(rows=100)
    assert earlier.rows.column("id").to_pylist() == [*range(91, 100)]
    one = job(line, {**source, "partition_filter": {"part": 1}}, target).preview(rows=3)
    assert one.rows.column("id").to_pylist() == [100, 101, 102]
    assert "only table partitions with part" in str(one)
    nothing = job(line, {**source, "where": "id > 900"}, target).preview()
    assert nothing.rows.column_names == ["id", "prediction", "model_name", "model_version", "scored_at"]
    assert "no row of the source was selected" in str(nothing)


def test_a_sample_scores_a_share_from_all_over_the_table(here: None, line: str, source: Path, tmp_path: Path) -> None:
    scoring = job(line, {"path": str(source)}, {"path": str(tmp_path / "out")})
    drawn = scoring.preview(rows=20, sample=0.2, seed=5)
    assert 150 < drawn.rows_scored < 250
    assert set(drawn.rows.column("part").to_pylist()) == {0, 1, 2, 3}
    assert drawn.rows.column("id") == scoring.preview(rows=20, sample=0.2, seed=5).rows.column("id")
    assert drawn.rows.column("id") != scoring.preview(rows=20, sample=0.2, seed=6).rows.column("id")
    assert "a sample of 0.2 with seed 5, of which 20 are shown" in str(drawn)
    assert "all 1,000 would take it" in str(drawn)
    assert scoring.preview(rows=20, sample=1.0).rows_scored == 1000


def test_score_table_with_a_limit_returns_rows(here: None, line: str, files: Path, tmp_path: Path) -> None:
    tables: dict[str, Any] = {"source": str(files), "target": str(tmp_path / "out"), "engine": "local"}
    preview = score_table(**tables, model=line, limit=2)
    assert isinstance(preview, Preview)
    assert preview.to_pandas().prediction.tolist() == [0.0, 0.5]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "asked",
    [
        {"rows": 0},
        {"rows": 10_001},
        {"rows": "5"},
        {"rows": None},
        {"rows": True},
        {"rows": 2.5},
        {"sample": 0.0},
        {"sample": 1.5},
        {"sample": float("nan")},
        {"sample": "0.5"},
        {"sample": 0.5, "seed": -1},
        {"sample": 0.5, "seed": None},
        {"sample": 0.5, "seed": "1"},
        {"sample": 0.5, "seed": 2**63},
    ],
)
def test_what_is_no_number_of_rows_no_share_and_no_seed_is_refused(
    line: str, files: Path, asked: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError, match=r"A preview shows|A sample is|The seed of a sample is") as caught:
        job(line, {"path": str(files)}, {"path": "out"}).preview(**asked)
    assert caught.value.next_step


def test_a_model_that_does_not_fit_is_refused_as_for_a_run(line: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    pq.write_table(pa.table({"y": [1.0]}), tmp_path / "in" / "a.parquet")
    with pytest.raises(PlanError, match="x"):
        job(line, {"path": str(tmp_path / "in")}, {"path": "out"}).preview()
