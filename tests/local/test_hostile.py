"""Models and tables that somebody else made to do harm are refused before anything of them runs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from deltalake import write_deltalake

from spark_infer.cli.models import describe
from spark_infer.errors import ModelRefusedError, SparkInferError
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


@pytest.mark.parametrize("path", ["../other/x.parquet", "%2e%2e/other/x.parquet"])
def test_a_delta_log_that_names_a_file_of_another_folder_is_refused(line: str, tmp_path: Path, path: str) -> None:
    rows = pa.table({"id": [1], "x": [0.5]})
    write_deltalake(tmp_path / "in", rows)
    (tmp_path / "other").mkdir()
    pq.write_table(rows, tmp_path / "other" / "x.parquet")
    commit = tmp_path / "in" / "_delta_log" / f"{0:020}.json"
    (name,) = (file.name for file in (tmp_path / "in").glob("*.parquet"))
    commit.write_text(commit.read_text().replace(name, path))
    scoring = job(line, {"path": str(tmp_path / "in")}, {"path": str(tmp_path / "out")})
    for command in (scoring.plan, scoring.run):
        with pytest.raises(SparkInferError, match="lie outside its folder"):
            command()
    assert not (tmp_path / "out").exists()
