"""Models and tables that somebody else made to do harm are refused before anything of them runs."""

from __future__ import annotations

import json
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
from tests import footers
from tests.footers import Struct
from tests.local.jobs import job


def everything(folder: Path) -> dict[Path, tuple[int, int]]:
    """All files below a folder, with their sizes and times."""
    return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


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
    before = everything(tmp_path)
    for command in (scoring.plan, scoring.run):
        with pytest.raises(SparkInferError, match="lie outside its folder"):
            command()
    assert everything(tmp_path) == before


def _claim_fewer(footer: Struct) -> None:
    footer[3] = footer[4][1][1][0][3] = (footers.I64, 1)


@pytest.mark.parametrize("kind", ["parquet", "delta"])
def test_a_footer_that_lies_about_its_rows_is_refused_before_anything_is_scored(
    line: str, tmp_path: Path, kind: str
) -> None:
    rows = pa.table({"id": [1, 2, 3], "x": [0.5, 1.0, 1.5]})
    (tmp_path / "in").mkdir()
    if kind == "delta":
        write_deltalake(tmp_path / "in", rows)
    else:
        pq.write_table(rows, tmp_path / "in" / "a.parquet")
    (file,) = (tmp_path / "in").glob("*.parquet")
    footers.change(file, _claim_fewer)
    if kind == "delta":  # whoever writes the footer writes the log
        commit = tmp_path / "in" / "_delta_log" / f"{0:020}.json"
        added = [json.loads(each) for each in commit.read_text().splitlines()]
        for action in added:
            if "add" in action:
                action["add"]["size"] = file.stat().st_size
        commit.write_text("\n".join(map(json.dumps, added)))
    scoring = job(line, {"path": str(tmp_path / "in")}, {"path": str(tmp_path / "out")})
    before = everything(tmp_path)
    for command in (scoring.plan, scoring.run):
        with pytest.raises(SparkInferError, match="its footer counts 1 rows in row group 0, and 3 values"):
            command()
    assert everything(tmp_path) == before


def test_a_name_that_commands_terminals_is_shown_as_text_and_written_as_it_is(
    line: str, tmp_path: Path, in_this_process: None
) -> None:
    name = "a\x1b[2J\n  ! forged\x9b\u202e"
    (tmp_path / "in").mkdir()
    pq.write_table(pa.table({"id": [1], "x": [0.5], name: ["b"]}), tmp_path / "in" / "a.parquet")
    scoring = job(line, {"path": str(tmp_path / "in")}, {"path": str(tmp_path / "out"), "format": "parquet"})
    for text in (str(scoring.plan()), str(scoring.run())):
        assert "a\\x1b[2J\\n  ! forged\\x9b\\u202e" in text
        assert not set("\x1b\x9b\u202e") & set(text)
        assert "\n  ! forged" not in text
    assert name in pq.read_table(tmp_path / "out").column_names
