from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

import spark_infer

Command = Callable[..., Result]
ROOT = Path(__file__).parents[3]
CODES = [
    "0    done",
    "1    unexpected",
    "2    refused",
    "3    something",
    "4    failed",
    "5    the time",
    "130  stopped",
]


@pytest.mark.parametrize("arguments", [(), ("run",), ("plan",), ("models", "inspect")])
def test_help_has_examples_and_every_exit_code(command: Command, arguments: tuple[str, ...]) -> None:
    result = command(*arguments, "--help")
    assert result.exit_code == 0
    assert "Examples:\n    spark-infer" in result.stdout
    assert [code for code in CODES if code not in result.stdout] == []


@pytest.mark.parametrize("name", ["demo", "doctor", "models"])
def test_every_other_command_has_help(command: Command, name: str) -> None:
    assert command(name, "-h").exit_code == 0
    assert f"  {name} " in command("--help").stdout


def test_version_is_that_of_the_package(command: Command) -> None:
    assert command("--version").stdout == f"spark-infer {spark_infer.__version__}\n"


@pytest.mark.parametrize("arguments", [("run",), ("run", "a.yaml", "--nope"), ("rnu",)])
def test_a_command_that_is_wrong_in_itself_is_refused(command: Command, arguments: tuple[str, ...]) -> None:
    assert command(*arguments).exit_code == 2


def test_the_command_line_loads_nothing_heavy_and_starts_at_once() -> None:
    script = (
        "import json, sys, time\n"
        "from spark_infer.cli.main import app\n"
        "try:\n    app(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'delta', 'mlflow', 'numpy', 'pandas', 'pyarrow', 'pydantic', 'pyspark', 'sklearn'}\n"
        "print(json.dumps([sorted(heavy & set(sys.modules)), time.process_time()]))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    heavy, cpu_seconds = json.loads(done.stdout.splitlines()[-1])
    assert heavy == []
    assert cpu_seconds < 0.5
