"""A stream whose driver is killed at thirty random moments and started again writes what a batch job writes."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from tests.line import save_line
from tests.soak.test_moments import finish, start

FILES, ROWS = 24, 10
KILLS = 6
BAD = 500.0


def make(folder: Path) -> None:
    """Files of ten rows, in a commit each; in every third the model fails for one row."""
    for number in range(FILES):
        ids = range(number * ROWS, (number + 1) * ROWS)
        x = [BAD if number % 3 == 0 and key % ROWS == 7 else key / 8 for key in ids]
        write_deltalake(folder, pa.table({"id": list(ids), "x": x}), mode="append")


def job(model: str, here: Path, out: str, **more: Any) -> dict[str, Any]:
    return {
        "model": {"uri": model},
        "source": {"path": str(here / "in")},
        "target": {"path": str(here / out), "format": "delta", "mode": "append"},
        "score": {"on_error": "quarantine", "preprocess": "tests.soak.counted:refuse"},
        "quarantine": {"path": str(here / f"{out}_bad"), "columns": ["id"]},
        **more,
    }


def rows_of(here: Path, out: str) -> tuple[Counter[Any], Counter[Any]]:
    """The predictions, and the rows that have none, each as often as it is there."""
    good = DeltaTable(here / out).to_pyarrow_table().select(["id", "x", "prediction"]).to_pylist()
    bad = DeltaTable(here / f"{out}_bad").to_pyarrow_table().select(["id", "error_class"]).to_pylist()
    return Counter(map(str, good)), Counter(map(str, bad))


def published(here: Path) -> int:
    return len(list((here / "stream" / "_delta_log").glob("*.json")))


def kill(document: dict[str, Any], here: Path, chance: random.Random) -> int:
    """Start the stream, and kill all its processes at a random moment after it has begun to work again."""
    before, running = published(here), start(document)
    until = time.monotonic() + 120
    while published(here) == before and running.poll() is None and time.monotonic() < until:
        time.sleep(0.05)
    time.sleep(chance.uniform(0.0, 4.0))
    if running.poll() is None:
        os.killpg(running.pid, signal.SIGKILL)
    running.communicate()
    return published(here)


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(5))
def test_a_stream_that_is_killed_at_random_moments_writes_what_a_batch_job_writes(tmp_path: Path, seed: int) -> None:
    model, chance = save_line(tmp_path / "model"), random.Random(seed)
    make(tmp_path / "in")
    stream: dict[str, Any] = {"trigger": "available_now", "checkpoint": str(tmp_path / "checkpoint")}
    stream |= {"stream_options": {"maxFilesPerTrigger": 1}, "spark": {"master": "local[2]"}}
    document = job(model, tmp_path, "stream", **stream)
    versions = [kill(document, tmp_path, chance) for _ in range(KILLS)]
    assert versions[0] < FILES, "it was killed before its end"
    finish(document)
    finish(job(model, tmp_path, "batch", engine="local"))
    assert rows_of(tmp_path, "stream") == rows_of(tmp_path, "batch")
    assert published(tmp_path) == FILES + 1  # each micro-batch once, and the empty table
