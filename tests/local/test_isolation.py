"""Rows that end the process of their model, or never let it answer: they cost themselves and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from deltalake import DeltaTable

from spark_infer import ScoringJob
from spark_infer.errors import ModelCrashedError
from spark_infer.runtime.process_state import ProcessState
from tests.deadly import CLASSES, EATS, HANGS, RAISES, SEGFAULTS, save_deadly, write_deadly
from tests.local.jobs import job, read

pytestmark = pytest.mark.usefixtures("in_this_process")

ROWS = 100_000
BAD = {0: RAISES, 9_999: RAISES, 33_333: HANGS, 33_334: EATS, 66_666: RAISES, 70_000: RAISES, 99_999: SEGFAULTS}


@pytest.fixture(scope="module")
def deadly(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_deadly(tmp_path_factory.mktemp("deadly") / "model")


@pytest.fixture(scope="module")
def cramped(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_deadly(tmp_path_factory.mktemp("cramped") / "model", room=30)


def isolated_job(model: str, source: str, tmp_path: Path, **score: Any) -> ScoringJob:
    how = {"isolation": {"memory_bytes": 2**28}, "predict_seconds": 2.0, "on_error": "quarantine"}
    return job(
        model,
        {"path": source},
        {"path": str(tmp_path / "out"), "format": "delta"},
        score={**how, **score},
        quarantine={"path": str(tmp_path / "aside"), "format": "delta", "columns": ["id", "part"]},
    )


def set_aside(tmp_path: Path, bad: Mapping[int, float]) -> dict[int, dict[str, Any]]:
    """See that the bad rows are quarantined and all others scored; return the former by their key."""
    scored = DeltaTable(tmp_path / "out").to_pyarrow_table().sort_by("id")
    good = [key for key in range(ROWS) if key not in bad]
    assert scored.column("id").to_pylist() == good
    assert np.array_equal(scored.column("prediction").to_numpy(), np.array(good) / 1024)
    aside = {row["id"]: row for row in DeltaTable(tmp_path / "aside").to_pyarrow_table().to_pylist()}
    assert {key: (row["part"], row["source_file"], row["source_row"]) for key, row in aside.items()} == {
        key: (key * 3 // ROWS, f"part={key * 3 // ROWS}/0.parquet", key - -(-(key * 3 // ROWS) * ROWS // 3))
        for key in bad
    }
    assert {key: row["error_class"] for key, row in aside.items()} == {
        key: CLASSES[value] for key, value in bad.items()
    }
    return aside


@pytest.mark.soak
def test_of_100_000_rows_seven_that_crash_hang_or_eat_memory_are_set_aside(deadly: str, tmp_path: Path) -> None:
    source = write_deadly(tmp_path / "in", ROWS, BAD)
    report = isolated_job(deadly, source, tmp_path).run()
    aside = set_aside(tmp_path, BAD)
    assert "signal 11 (SIGSEGV)" in aside[99_999]["error_message"]
    assert "longer than 2 seconds" in aside[33_333]["error_message"]
    assert (report.rows_read, report.rows_scored, report.rows_quarantined) == (ROWS, ROWS - 7, 7)


def test_with_fail_a_row_that_crashes_the_model_ends_the_job_and_the_error_says_where(
    deadly: str, tmp_path: Path
) -> None:
    source = write_deadly(tmp_path / "in", 300, {250: SEGFAULTS})
    with pytest.raises(ModelCrashedError, match=r"a batch of 40 rows: signal 11 \(SIGSEGV\)") as ended:
        job(
            deadly,
            {"path": source, "partition_filter": {"part": 2}},
            str(tmp_path / "out"),
            score={"isolation": "process", "batch_size": 40},
        ).run()
    where = ended.value.details
    assert where[0].startswith("in unit 0, task 0, with model version ")
    assert where[0].endswith(", after 40 rows of:")
    assert "/0.parquet" in where[1]
    assert not (tmp_path / "out").exists()


def test_batches_that_there_is_no_memory_for_are_cut_and_the_next_process_knows(
    cramped: str, tmp_path: Path, new_process: Callable[[], ProcessState]
) -> None:
    source = write_deadly(tmp_path / "in", 300, {})
    for run, failed in (("first", 2), ("second", 0)):
        new_process()
        report = job(cramped, source, str(tmp_path / run), score={"batch_size": 100}).run()
        assert [row["prediction"] for row in read(tmp_path / run)] == [key / 1024 for key in range(300)]
        assert report.warnings == (
            f"batches were cut to 25 rows: out of memory (3 batches, {failed} calls of the model failed; "
            "score.batch_size sets how many rows there are in one)",
        )
