from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from typer.testing import Result

from .conftest import Stage

Command = Callable[..., Result]


def test_plan_prints_what_would_happen(command: Command, stage: Stage, job_file: Path) -> None:
    result = command("plan", job_file)
    assert (result.exit_code, result.stdout) == (0, "nightly: nothing has run\n\n  source  in\n")
    assert stage.stopped == 1


def test_plan_as_json_is_alone_on_stdout(command: Command, stage: Stage, job_file: Path) -> None:
    result = command("plan", job_file, "--json", "--set", "source.path=other")
    assert json.loads(result.stdout) == {"source": "other"}
    assert result.stderr == ""


def test_plan_looks_at_a_new_run_where_one_is_asked_for(command: Command, stage: Stage, job_file: Path) -> None:
    assert command("plan", job_file).exit_code == 0
    assert command("plan", job_file, "--new-run").exit_code == 0
    assert stage.new_runs == [False, True]


def test_plan_loads_the_model_unless_it_is_told_not_to(command: Command, stage: Stage, job_file: Path) -> None:
    assert [command("plan", job_file, *more).exit_code for more in ([], ["--no-load"])] == [0, 0]
    assert stage.loads == [True, False]


def test_plan_refuses_what_run_would_refuse(command: Command, stage: Stage, job_file: Path) -> None:
    result = command("plan", job_file, "--set", "target.mode=apend")
    assert result.exit_code == 2
    assert "refused: --set target.mode: expected one of error_if_exists" in result.stderr
    assert stage.started == []
