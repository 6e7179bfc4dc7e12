"""Models and tables that somebody else made to do harm are refused before anything of them runs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from spark_infer.cli.models import describe
from spark_infer.errors import ModelRefusedError
from spark_infer.models.files.store import ModelStore
from spark_infer.models.registry.resolve import resolve
from tests.hostile_tables import NAME, SHOWN, TABLES, check, commanding_name
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


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.usefixtures("in_this_process")
def test_a_hostile_table_is_refused_or_scored_and_nothing_around_it_is_touched(
    line: str, tmp_path: Path, name: str
) -> None:
    TABLES[name].make(tmp_path)
    target = {"path": str(tmp_path / "out"), "format": "parquet"}
    scoring = job(line, {"path": str(tmp_path / "in")}, target, score={"max_batch_bytes": 2**23})
    check(scoring, tmp_path, TABLES[name].local)


@pytest.mark.usefixtures("in_this_process")
def test_a_name_that_commands_terminals_is_shown_as_text_and_written_as_it_is(line: str, tmp_path: Path) -> None:
    commanding_name(tmp_path)
    scoring = job(line, {"path": str(tmp_path / "in")}, {"path": str(tmp_path / "out"), "format": "parquet"})
    for text in (str(scoring.plan()), str(scoring.run())):
        assert SHOWN in text
    assert NAME in pq.read_table(tmp_path / "out").column_names
