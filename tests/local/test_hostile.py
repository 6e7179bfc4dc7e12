"""Models and tables that somebody else made to do harm are refused before anything of them runs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from spark_infer.cli.models import describe
from spark_infer.errors import ModelRefusedError
from spark_infer.models.files.store import ModelStore
from spark_infer.models.registry.resolve import resolve
from tests.local.jobs import job


def test_a_model_that_brings_a_module_of_python_is_refused_and_nothing_of_it_imported(
    line: str, source: Path, tmp_path: Path
) -> None:
    shutil.copytree(line, tmp_path / "model")
    mlmodel = yaml.safe_load((tmp_path / "model" / "MLmodel").read_text())
    mlmodel["flavors"]["python_function"]["code"] = "code"
    (tmp_path / "model" / "MLmodel").write_text(yaml.safe_dump(mlmodel))
    (tmp_path / "model" / "code").mkdir()
    (tmp_path / "model" / "code" / "calendar.py").write_text(f"open({str(tmp_path / 'mark')!r}, 'w')")
    scoring = job(str(tmp_path / "model"), {"path": str(source)}, {"path": str(tmp_path / "out")})
    for command in (scoring.plan, scoring.run):
        with pytest.raises(ModelRefusedError, match=r"libraries that score: calendar\."):
            command()
    store = ModelStore(tmp_path / "store")
    ref = resolve(str(tmp_path / "model"), store=store)
    assert "calendar" in str(describe(ref, store.path(ref.digest))["backend_reason"])
    assert not (tmp_path / "mark").exists()
    assert not (tmp_path / "out").exists()
