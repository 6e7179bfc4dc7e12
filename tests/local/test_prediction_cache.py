"""Jobs with a prediction cache: what earlier runs have predicted is not predicted again, whatever was killed when."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from spark_infer import Plan, Report, score_table
from spark_infer.config import JobConfig
from spark_infer.config.validate_options import validated
from spark_infer.errors import ConfigError, PlanError, TargetError
from spark_infer.runtime.failpoints import InjectedError
from tests.line import save_line
from tests.local.jobs import job, read
from tests.local.test_two_summaries import wait_until_stopped

pytestmark = pytest.mark.usefixtures("in_this_process")

KINDS = pytest.mark.parametrize("kind", ["delta", "parquet"])


@pytest.fixture
def line(row_by_row: str) -> str:
    return row_by_row


def rows_in(folder: Path, ids: range) -> str:
    """Three files."""
    folder.mkdir()
    for number, part in enumerate(np.array_split(np.array(ids), 3)):
        pq.write_table(pa.table({"id": part, "x": part / 4}), folder / f"{number}.parquet")
    return str(folder)


def night(model: str, tmp_path: Path, name: str, ids: range, kind: str, **more: Any) -> Any:
    """A job of its own source and target, in three units; all nights share one cache."""
    source = rows_in(tmp_path / name, ids) if not (tmp_path / name).exists() else str(tmp_path / name)
    document = {
        "cache": {"path": str(tmp_path / "cache"), "format": kind},
        "units": {"bytes": 1},
        "target": {"path": str(tmp_path / f"{name}-out"), "format": kind, "mode": "append"},
        **more,
    }
    return job(model, source, document.pop("target"), **document)


def counts(report: Report) -> tuple[int, int, int | None]:
    return report.prediction_cache_hits, report.prediction_cache_misses, report.rows_predicted


def cached(tmp_path: Path) -> pa.Table:
    folder = tmp_path / "cache"
    return DeltaTable(folder).to_pyarrow_table() if (folder / "_delta_log").exists() else pq.read_table(folder)


def holds(tmp_path: Path, name: str, ids: range) -> bool:
    return [(row["id"], row["prediction"]) for row in read(tmp_path / f"{name}-out")] == [(key, key / 2) for key in ids]


@KINDS
def test_a_second_run_predicts_what_is_new_alone(line: str, tmp_path: Path, kind: str) -> None:
    report = night(line, tmp_path, "one", range(300), kind).run()
    assert counts(report) == (0, 300, 300)
    scoring = night(line, tmp_path, "two", range(100, 420), kind)
    plan: Plan = scoring.plan()
    assert any("which has 300 predictions of this model and options" in step for step in plan.steps)
    assert f"new predictions go to {tmp_path / 'cache'} too" in plan.write
    report = scoring.run()
    assert counts(report) == (200, 120, 120)
    assert f"200 found in the prediction cache {tmp_path / 'cache'}, 120 predicted and added" in str(report)
    assert holds(tmp_path, "one", range(300))
    assert holds(tmp_path, "two", range(100, 420))
    assert cached(tmp_path).num_rows == 420
    assert {*cached(tmp_path).column("cached_at").to_pylist()} >= {report.started_at}


def test_another_model_or_another_option_finds_nothing(line: str, tmp_path: Path) -> None:
    night(line, tmp_path, "one", range(30), "parquet").run()
    steep = save_line(tmp_path / "steep", slope=4.0)
    report = night(steep, tmp_path, "two", range(30), "parquet").run()
    assert counts(report) == (0, 30, 30)
    assert [row["prediction"] for row in read(tmp_path / "two-out")] == [*range(30)]
    other = night(line, tmp_path, "three", range(30), "parquet", score={"backend": "pyfunc", "deduplicate": "always"})
    assert counts(other.run()) == (0, 30, 30)
    assert counts(night(line, tmp_path, "four", range(30), "parquet", score={"batch_size": 7}).run()) == (30, 0, 0)


@KINDS
@pytest.mark.parametrize("mode", ["append", "overwrite"])
@pytest.mark.parametrize("point", ["seal:2", "sealed:1", "cache:1", "cache:2", "placed:2", "placed:4", "report:1"])
def test_a_run_that_breaks_goes_on_and_keeps_each_prediction_once(
    line: str, tmp_path: Path, breaks: Callable[[str], None], kind: str, mode: str, point: str
) -> None:
    target = {"path": str(tmp_path / "one-out"), "format": kind, "mode": mode}
    scoring = night(line, tmp_path, "one", range(60), kind, target=target)
    breaks(f"{point}:raise")
    with pytest.raises(InjectedError):
        scoring.run()
    breaks("")
    report = scoring.run()
    assert report.rows_scored == 60
    assert holds(tmp_path, "one", range(60))
    rows = cached(tmp_path).select(["row_digest", "prediction"])
    assert rows.num_rows == len({*rows.column("row_digest").to_pylist()}) == 60
    assert counts(night(line, tmp_path, "two", range(60), kind).run()) == (60, 0, 0)


@KINDS
def test_rows_that_fail_are_never_in_the_cache(strict: str, tmp_path: Path, kind: str) -> None:
    ids = range(1_980, 2_010)  # x is 500 for 2,000, and the model raises for that and above
    score = {"on_error": "quarantine", "deduplicate": "always", "max_bad_fraction": 1}
    aside = {"path": str(tmp_path / "aside"), "format": kind, "columns": ["id"]}
    report = night(strict, tmp_path, "one", ids, kind, score=score, quarantine=aside).run()
    assert (report.rows_scored, report.rows_quarantined) == (20, 10)
    assert sorted(cached(tmp_path).column("prediction").to_pylist()) == [key / 4 for key in range(1_980, 2_000)]
    report = night(strict, tmp_path, "two", ids, kind, score=score, quarantine=aside).run()
    assert (report.rows_scored, report.rows_quarantined, report.prediction_cache_misses) == (20, 10, 0)
    assert cached(tmp_path).num_rows == 20


def test_old_predictions_can_be_removed_at_any_moment(line: str, tmp_path: Path) -> None:
    night(line, tmp_path, "one", range(30), "parquet").run()
    planned = night(line, tmp_path, "two", range(30), "parquet")._prepare(None, new_run=False)
    (folder,) = (tmp_path / "cache").glob("model_digest=*")
    shutil.rmtree(folder)
    from spark_infer.job.run import run_job

    assert counts(run_job(planned)) == (0, 30, 30)
    assert holds(tmp_path, "two", range(30))
    shutil.rmtree(folder)
    assert counts(night(line, tmp_path, "three", range(30), "parquet").run()) == (0, 30, 30)


def test_a_delta_cache_can_be_cleaned_and_compacted(line: str, tmp_path: Path) -> None:
    night(line, tmp_path, "one", range(30), "delta").run()
    before = night(line, tmp_path, "two", range(30, 60), "delta").run().started_at
    table = DeltaTable(tmp_path / "cache")
    table.delete(f"cached_at < '{before:%Y-%m-%dT%H:%M:%S.%f}Z'")
    table.optimize.compact()
    assert counts(night(line, tmp_path, "three", range(60), "delta").run()) == (30, 30, 30)
    (digest,) = {*cached(tmp_path).column("model_digest").to_pylist()}
    DeltaTable(tmp_path / "cache").delete(f"model_digest = '{digest}'")
    assert counts(night(line, tmp_path, "four", range(60), "delta").run()) == (0, 60, 60)


def test_a_cache_that_cannot_be_written_costs_predictions_and_no_rows(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spark_infer.errors import WriteError
    from spark_infer.tables.parquet.publish import AppendUnits

    publish = AppendUnits.publish

    def full(self: AppendUnits, sealed: Any) -> int | None:
        if self._work.table.root.endswith("cache"):
            raise WriteError("The disk is full.")
        return publish(self, sealed)

    monkeypatch.setattr(AppendUnits, "publish", full)
    report = night(line, tmp_path, "one", range(30), "parquet").run()
    assert "the prediction cache lacks what 3 units predicted: The disk is full." in report.warnings
    assert holds(tmp_path, "one", range(30))


def test_what_a_cache_cannot_go_with_is_refused_before_anything_runs(line: str, moody: str, tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="answer for a row depends on that row alone") as caught:
        night(moody, tmp_path, "one", range(9), "parquet").run()
    assert "set score.deduplicate: always" in str(caught.value)
    source, target = str(tmp_path / "one"), str(tmp_path / "one-out")
    with pytest.raises(TargetError, match="shares its folder with the target"):
        score_table(source=source, target=target, model=line, engine="local", cache=f"{target}/cache")
    with pytest.raises(ConfigError, match="leave `cache` out"):
        validated(
            JobConfig,
            {
                "model": line,
                "source": source,
                "target": {"path": target, "mode": "append"},
                "cache": str(tmp_path / "cache"),
                "trigger": "available_now",
                "checkpoint": str(tmp_path / "checkpoint"),
            },
        )
    assert not (tmp_path / "cache").exists()


@KINDS
def test_another_table_in_the_place_of_the_cache_is_refused(line: str, tmp_path: Path, kind: str) -> None:
    night(line, tmp_path, "one", range(9), kind, cache=None).run()
    shutil.copytree(tmp_path / "one-out", tmp_path / "cache")
    with pytest.raises(TargetError, match="do not fit the prediction cache") as caught:
        night(line, tmp_path, "two", range(9), kind).run()
    assert "row_digest" in str(caught.value)
    assert not (tmp_path / "two-out").exists()


@KINDS
def test_a_cache_of_other_outputs_or_with_a_damaged_file_is_refused(line: str, tmp_path: Path, kind: str) -> None:
    night(line, tmp_path, "one", range(9), kind).run()
    with pytest.raises(TargetError, match="do not fit the prediction cache"):
        night(line, tmp_path, "two", range(9), kind, score={"result_type": "float", "allow_casts": []}).run()
    for file in (tmp_path / "cache").glob("model_digest=*/*/*.parquet"):
        file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(PlanError, match="not a readable Parquet file"):
        night(line, tmp_path, "two", range(9), kind).run()
    assert not (tmp_path / "two-out").exists()
    for file in (tmp_path / "cache").glob("model_digest=*/*/*.parquet"):
        file.unlink()
    if kind == "delta":
        with pytest.raises(TargetError, match=r"The prediction cache \S+ cannot be read: The file \S+ .* is missing"):
            night(line, tmp_path, "two", range(9), kind).run()
        shutil.rmtree(tmp_path / "cache")
    else:
        subprocess.run(["find", tmp_path / "cache", "-mindepth", "1", "-type", "d", "-empty", "-delete"], check=True)
    assert night(line, tmp_path, "two", range(9), kind).run().prediction_cache_misses == 9


def test_a_command_without_new_rows_needs_no_model(line: str, tmp_path: Path) -> None:
    scoring = night(line, tmp_path, "one", range(30), "parquet", incremental=True)
    assert scoring.run().prediction_cache_misses == 30
    assert "is new" in str(scoring.run())
    pq.write_table(pa.table({"id": [7, 30], "x": [7 / 4, 30 / 4]}), tmp_path / "one" / "more.parquet")
    assert counts(scoring.run()) == (1, 1, 1)


PROGRAM = "import json, sys; from tests.here import run_here; run_here(json.loads(sys.argv[1]))"


def start(scoring: Any, fault: str) -> subprocess.Popen[str]:
    """Run a job in a process of its own, which a signal ends or stops at a point."""
    environ = {**os.environ, "SPARK_INFER_TESTING": "1", "SPARK_INFER_FAULT": fault}
    document = json.dumps(scoring.config.model_dump(mode="json", exclude_unset=True))
    return subprocess.Popen([sys.executable, "-c", PROGRAM, document], env=environ, stderr=subprocess.PIPE, text=True)


@KINDS
def test_runs_that_add_at_the_same_moment_and_one_that_is_killed_there(line: str, tmp_path: Path, kind: str) -> None:
    """Two of three nights stop before they add to the cache and go on together; the third one is killed there."""
    nights = {"one": range(60), "two": range(30, 90), "three": range(90, 120)}
    jobs = {name: night(line, tmp_path, name, ids, kind) for name, ids in nights.items()}
    faults = {"one": "cache:1:sigstop", "two": "cache:1:sigstop", "three": "cache:2:sigkill"}
    running = {name: start(jobs[name], fault) for name, fault in faults.items()}
    try:
        for name in ("one", "two"):
            wait_until_stopped(running[name])
        for name in ("one", "two"):
            running[name].send_signal(signal.SIGCONT)
        ended = {name: process.wait(60) for name, process in running.items()}
    finally:
        for process in running.values():
            process.kill()
            process.communicate()
    assert ended == {"one": 0, "two": 0, "three": -signal.SIGKILL}
    jobs["three"].run()
    assert all(holds(tmp_path, name, ids) for name, ids in nights.items())
    # What two runs have predicted at the same time is there twice, and nothing else is.
    assert sorted(cached(tmp_path).column("prediction").to_pylist()) == sorted(
        key / 2 for ids in nights.values() for key in ids
    )
    assert counts(night(line, tmp_path, "four", range(120), kind).run()) == (120, 0, 0)
