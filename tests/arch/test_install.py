"""`make demo` on a bare machine: one line says what to install, and nothing has been made."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def program(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def java_check(**environment: str) -> subprocess.CompletedProcess[str]:
    command = ["/bin/sh", str(ROOT / "requirements/java.sh")]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "requirements", tmp_path / "tree" / "requirements")
    shutil.copy(ROOT / "pyproject.toml", tmp_path / "tree")
    return tmp_path / "tree"


def install(tree: Path, python: str) -> subprocess.CompletedProcess[str]:
    command = ["/bin/sh", "requirements/install.sh", "demo"]
    environment = {"PATH": "/usr/bin:/bin", "PYTHON": python}
    return subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("version", ["17.0.15", "21", "26-ea"])
def test_a_java_that_spark_can_use_passes_in_silence(tmp_path: Path, version: str) -> None:
    program(tmp_path / "bin/java", f"""echo 'openjdk version "{version}" 2025-04-15' >&2""")
    done = java_check(JAVA_HOME=str(tmp_path), PATH="/usr/bin:/bin")
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize(("version", "shown"), [("1.8.0_392", "version 8"), ("11.0.2", "version 11")])
def test_a_java_too_old_is_named_with_what_to_install(tmp_path: Path, version: str, shown: str) -> None:
    java = program(tmp_path / "bin/java", f"""echo 'java version "{version}"' >&2""")
    done = java_check(JAVA_HOME=str(tmp_path), PATH="/usr/bin:/bin")
    assert done.returncode == 1
    assert done.stderr.startswith(f"Spark needs Java 17 or newer, and {java} is {shown}: install one (")
    assert done.stderr.count("\n") == 1


def test_a_missing_java_is_said_in_one_line(tmp_path: Path) -> None:
    for tool in ("sed", "head"):
        (tmp_path / tool).symlink_to(shutil.which(tool) or tool)
    done = java_check(PATH=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.startswith("Spark needs Java 17 or newer, and java is missing: install one (")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        ("exit 127", "does not start: install Python 3.10 or newer"),
        ('case "$2" in *print*) echo 3.9 ;; *) exit 1 ;; esac', "is Python 3.9: install Python 3.10 or newer"),
        (
            'case "$2" in *print*) echo 3.12 ;; *ensurepip*) exit 1 ;; esac',
            "Python 3.12 lacks its venv module: install it (on Debian and Ubuntu: apt-get install python3.12-venv).",
        ),
    ],
)
def test_a_python_that_cannot_make_the_environment_is_said_in_one_line(
    tree: Path, tmp_path: Path, script: str, sentence: str
) -> None:
    done = install(tree, str(program(tmp_path / "python3", script)))
    assert done.returncode == 1
    assert sentence in done.stderr
    assert (done.stdout, done.stderr.count("\n")) == ("", 1)
    assert not (tree / ".venv").exists()


def test_a_missing_python_is_said_in_one_line(tree: Path) -> None:
    done = install(tree, "no-such-python")
    assert done.returncode == 1
    assert done.stderr.startswith("There is no no-such-python here: install Python 3.10 or newer")
    assert done.stderr.count("\n") == 1


def test_a_failed_installation_names_its_log_and_is_tried_again(tree: Path) -> None:
    (tree / "requirements/uv.txt").write_text("--no-index\nuv==0\n")
    for _ in range(2):
        done = install(tree, sys.executable)
        assert done.returncode == 1
        assert "The installation failed: .venv/demo.log has everything that pip and uv said." in done.stderr
    assert "No matching distribution found for uv==0" in (tree / ".venv/demo.log").read_text()
