"""Random histories of a source that an incremental job scores step by step, and drivers of it that are killed."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from spark_infer.engines.local import units as local_units
from tests.here import tasks_here
from tests.histories import FolderHistory, History
from tests.line import save_light_line
from tests.local.jobs import read
from tests.soak.test_moments import finish, job, start

KILLS = int(os.environ.get("TESTS_KILLS", "30"))
HISTORIES = int(os.environ.get("TESTS_HISTORIES", "300"))
FIRST = int(os.environ.get("TESTS_FIRST_HISTORY", "1000"))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    here = tmp_path_factory.mktemp("models")
    return {save_light_line(here / f"{slope:g}", slope): slope for slope in (2.0, 3.0)}


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("by", [False, True], ids=["log", "key"])
@pytest.mark.parametrize("kind", [History, FolderHistory], ids=["table", "folder"])
def test_each_history_equals_a_full_rescore_after_each_step(
    models: dict[str, float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[History], by: bool
) -> None:
    monkeypatch.setattr(local_units, "do_tasks", tasks_here)
    refused = 0
    for seed in range(FIRST, FIRST + HISTORIES):
        (here := tmp_path / f"{seed}").mkdir()
        history = kind(here, seed, models, by=by)
        try:
            history.go(20)
        except Exception as error:
            raise AssertionError(f"seed {seed}: {' '.join(history.trace)}") from error
        refused += history.refused
    assert by or refused, "no history met a change that is refused"


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", ["delta", "parquet"])
def test_a_driver_that_is_killed_at_any_moment_scores_each_new_row_once(
    models: dict[str, float], tmp_path: Path, kind: str
) -> None:
    chosen, rows = random.Random(kind), 0
    document = {**job(next(iter(models)), tmp_path, kind, mode="append"), "incremental": True}
    for _ in range(KILLS):
        for _ in range(4):  # files, each of them a unit
            ids = range(rows, rows + 1_000)
            rows += len(ids)
            write_deltalake(tmp_path / "in", pa.table({"id": ids, "x": [each / 8 for each in ids]}), mode="append")
        driver = start(document)
        time.sleep(chosen.uniform(1.0, 5.0))
        os.killpg(driver.pid, signal.SIGKILL)
        driver.communicate()
    while not finish(document)["nothing_new"]:
        pass
    assert [row["id"] for row in read(tmp_path / "out")] == list(range(rows))
