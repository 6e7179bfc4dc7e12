"""Three hundred random histories of a source, scored step by step by an incremental job."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from spark_infer.engines.local import units as local_units
from tests.here import tasks_here
from tests.histories import History
from tests.line import save_line

HISTORIES = int(os.environ.get("TESTS_HISTORIES", "300"))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    here = tmp_path_factory.mktemp("models")
    return {save_line(here / f"{slope:g}", slope): slope for slope in (2.0, 3.0)}


@pytest.mark.soak
def test_each_history_equals_a_full_rescore_after_each_step(
    models: dict[str, float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_units, "do_tasks", tasks_here)
    refused = 0
    for seed in range(1000, 1000 + HISTORIES):
        (here := tmp_path / f"{seed}").mkdir()
        history = History(here, seed, models)
        try:
            history.go(20)
        except Exception as error:
            error.add_note(f"seed {seed}: {' '.join(history.trace)}")
            raise
        refused += history.refused
    assert refused, "no history met a change that is refused"
