"""What is done of a job before its engine is there."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from spark_infer.config import JobConfig
from spark_infer.engines.job_deadline import Deadline
from spark_infer.job.prepare import import_meanwhile, resolved_model

MLMODEL = """
flavors:
  catboost: {catboost_version: 1.2.8}
  python_function: {loader_module: mlflow.catboost, data: model.cb}
signature: {inputs: '[{"name": "x", "type": "double"}]', outputs: '[{"type": "double"}]'}
"""


class Engine:
    def __init__(self, *, is_starting: bool) -> None:
        self.is_starting = is_starting


@pytest.mark.parametrize(
    ("is_starting", "loads", "incremental", "imported"),
    [(True, True, False, True), (False, True, False, False), (True, False, False, False), (True, True, True, False)],
)
def test_the_libraries_of_a_model_are_imported_while_the_engine_starts(
    is_starting: bool,
    loads: bool,
    incremental: bool,
    imported: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SPARK_INFER_HOME", str(tmp_path / "home"))
    monkeypatch.delitem(sys.modules, "catboost", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "catboost.py").write_text("")
    model = tmp_path / "model"
    model.mkdir()
    (model / "MLmodel").write_text(MLMODEL)
    (model / "model.cb").write_bytes(b"trees")
    config = JobConfig.model_validate(
        {
            "model": str(model),
            "source": {"path": "in", "format": "delta"},
            "target": {"path": "out", "format": "delta", "mode": "append"},
            "incremental": incremental or None,
        }
    )
    engine: Any = Engine(is_starting=is_starting)
    import_meanwhile(engine, config, resolved_model(config), loads=loads, deadline=Deadline(None))
    assert (sys.modules.pop("catboost", None) is not None) is imported
