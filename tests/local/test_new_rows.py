"""An incremental job scores the rows that are new since the version that its target holds, and each of them once."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from spark_infer.cli.main import app
from spark_infer.engines.local.engine import LocalEngine
from spark_infer.errors import WriteError
from spark_infer.job.prepare import prepare_job
from spark_infer.job.run import run_job
from spark_infer.runtime.failpoints import InjectedError
from tests.histories import FolderHistory, History
from tests.line import save_light_line
from tests.local.jobs import read
from tests.local.new_rows import Break, append, counts, doubled, new_rows, predictions

pytestmark = pytest.mark.usefixtures("in_this_process")

POINTS = ("seal:2", "sealed:2", "publish:2", "placed:1", "commit:1", "committed:1", "report:1")


@pytest.fixture(scope="module")
def tripling(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The next version of the model: it triples ``x``."""
    return save_light_line(tmp_path_factory.mktemp("tripling") / "model", 3.0)


@pytest.mark.parametrize("kind", ["delta", "parquet"])
def test_the_first_run_scores_all_rows_and_the_next_ones_those_that_are_new(
    line: str, tmp_path: Path, kind: str
) -> None:
    append(tmp_path / "in", 0)
    scoring = new_rows(line, tmp_path, kind)
    assert counts(scoring.run()) == (None, 3, False)
    assert counts(scoring.run()) == (0, 0, True)
    append(tmp_path / "in", 3, part=1)
    append(tmp_path / "in", 6)
    plan = str(scoring.plan())
    assert "only rows that are new after version 0" in plan
    assert "6 rows" in plan
    assert counts(scoring.run()) == (0, 6, False)
    assert predictions(tmp_path) == doubled(9)
    report = scoring.run()
    assert counts(report) == (2, 0, True)
    assert "nothing to do, the source has no row that is new" in str(report)


def test_a_run_with_nothing_new_changes_no_file(line: str, tmp_path: Path) -> None:
    append(tmp_path / "in", 0)
    new_rows(line, tmp_path).run()
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert new_rows(line, tmp_path).run().nothing_new
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


@pytest.mark.parametrize("kind", ["delta", "parquet"])
@pytest.mark.parametrize("point", POINTS)
def test_a_run_that_breaks_is_finished_before_newer_rows_are_scored(
    line: str, tmp_path: Path, breaks: Break, kind: str, point: str
) -> None:
    append(tmp_path / "in", 0)
    scoring = new_rows(line, tmp_path, kind, units={"bytes": 1})
    scoring.run()
    append(tmp_path / "in", 3, part=1)
    append(tmp_path / "in", 6, part=2)
    breaks(f"{point}:raise")
    broke = False
    try:
        scoring.run()
    except (InjectedError, WriteError):
        broke = True
    of_delta, of_parquet = ("commit:1", "committed:1"), ("publish:2",)
    assert broke == (point not in (of_parquet if kind == "delta" else of_delta))
    breaks("")
    append(tmp_path / "in", 9)
    if broke:
        assert counts(scoring.run()) == (0, 6, False)
        assert predictions(tmp_path) == doubled(9)
    assert counts(scoring.run()) == (2, 3, False)
    assert predictions(tmp_path) == doubled(12)


def test_a_run_whose_rows_another_one_has_added_meanwhile_adds_none(line: str, tmp_path: Path) -> None:
    append(tmp_path / "in", 0)
    scoring = new_rows(line, tmp_path)
    scoring.run()
    append(tmp_path / "in", 3)
    slow = prepare_job(LocalEngine(scoring.config.resources), scoring.config)
    scoring.run()
    shutil.rmtree(tmp_path / ".out.spark_infer")  # else both would know of each other, and share the run
    with pytest.raises(WriteError, match="Another command has added new rows"):
        run_job(slow)
    assert predictions(tmp_path) == doubled(6)
    append(tmp_path / "in", 6)
    assert scoring.run().rows_scored == 3
    assert predictions(tmp_path) == doubled(9)


@pytest.mark.parametrize(("policy", "rows"), [("new_rows", 3), ("all", 6)])
def test_a_new_model_scores_what_its_policy_says(
    line: str, tripling: str, tmp_path: Path, policy: str, rows: int
) -> None:
    append(tmp_path / "in", 0)
    new_rows(line, tmp_path).run()
    append(tmp_path / "in", 3)
    after = new_rows(tripling, tmp_path, incremental={"on_new_model": policy})
    report = after.run()
    assert report.rows_scored == rows
    assert any("the scoring changed" in warning for warning in report.warnings)
    assert after.run().nothing_new
    slopes = sorted((row["id"], round(row["prediction"] / row["id"])) for row in read(tmp_path / "out") if row["id"])
    scored = range(3, 6) if policy == "new_rows" else range(1, 6)
    assert slopes == sorted([(number, 2) for number in (1, 2)] + [(number, 3) for number in scored])


def test_a_mode_that_cannot_add_rows_and_a_source_without_versions_are_refused(line: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"set target\.mode to append"):
        new_rows(line, tmp_path, target={"mode": "error_if_exists"})


def test_the_command_line_scores_new_rows_and_shows_the_bookmark(line: str, tmp_path: Path) -> None:
    append(tmp_path / "in", 0)
    file = tmp_path / "job.yaml"
    file.write_text(
        f"model: {line}\nsource: {tmp_path / 'in'}\nengine: local\ntarget: {{path: {tmp_path / 'out'}, mode: append}}\n"
    )

    def call(*arguments: str) -> str:
        ended = CliRunner().invoke(app, [*arguments, "--log-file", str(tmp_path / "log")])
        assert ended.exit_code == 0, ended.output
        return ended.stdout

    call("run", str(file), "--incremental")
    append(tmp_path / "in", 3)
    assert "3 rows scored" in call("run", str(file), "--incremental")
    assert "nothing to do" in call("run", str(file), "--incremental")
    file.write_text(file.read_text() + "incremental: true\n")
    assert f"the target holds predictions of {tmp_path / 'in'} up to version 1, by model" in call("status", str(file))
    assert json.loads(call("status", str(file), "--json"))["bookmark"]["source_version"] == 1


@pytest.mark.parametrize(
    ("kind", "by"), [(History, False), (History, True), (FolderHistory, False), (FolderHistory, True)]
)
def test_a_random_history_scored_step_by_step_equals_a_full_rescore(
    line: str, tripling: str, tmp_path: Path, kind: type[History], by: bool
) -> None:
    history = kind(tmp_path, 1, {line: 2.0, tripling: 3.0}, by=by)
    try:
        history.go(12)
    except Exception as error:
        raise AssertionError(" ".join(history.trace)) from error
