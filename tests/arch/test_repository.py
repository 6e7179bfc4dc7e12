"""What the files at the root promise, and what no file may hold."""

from __future__ import annotations

import configparser
import re
import subprocess
from pathlib import Path

import pytest

import spark_infer

ROOT = Path(__file__).parents[2]

# In two halves each, so that this file does not hold them.
FORBIDDEN = [
    "pypi" + ".org",
    "python" + "hosted.org",
    "maven" + ".org",
    "maven" + ".apache.org",
    "npm" + "js.",
    "index" + "-url",
    "/ro" + "ot/",
    "/wo" + "rk/",
]


def files_of_the_project() -> list[Path]:
    """Return what git would commit."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in sorted(set(done.stdout.split("\0"))) if name and (ROOT / name).is_file()]


def pins(name: str) -> list[str]:
    lines = (ROOT / "requirements" / name).read_text().splitlines()
    return [line.partition("  #")[0].rstrip() for line in lines if not line.startswith("#")]


@pytest.mark.parametrize("words", FORBIDDEN)
def test_no_file_names_a_download_host_or_a_folder_of_one_machine(words: str) -> None:
    needle = words.encode()
    assert [path for path in files_of_the_project() if needle in path.read_bytes()] == []


@pytest.mark.parametrize("name", ["demo.txt", "dev.txt", "uv.txt"])
def test_requirements_are_names_and_exact_versions(name: str) -> None:
    assert pins(name)
    assert [line for line in pins(name) if not re.fullmatch(r"[\w.-]+==[\w.]+( ; [^/@]+)?", line)] == []


def test_the_development_environment_has_the_pins_of_the_demo() -> None:
    def versions(name: str) -> set[str]:
        return {pin.partition(" ;")[0] for pin in pins(name)}

    assert versions("demo.txt") <= versions("dev.txt")


def test_setup_cfg_holds_import_contracts_and_nothing_else() -> None:
    sections = configparser.ConfigParser()
    sections.read(ROOT / "setup.cfg")
    assert [name for name in sections.sections() if not name.startswith("importlinter")] == []


def test_the_version_is_written_in_one_place() -> None:
    places = [*(ROOT / "spark_infer").rglob("*.py"), ROOT / "pyproject.toml"]
    found = [path for path in places if f'"{spark_infer.__version__}"' in path.read_text()]
    assert found == [ROOT / "spark_infer/__init__.py"]


@pytest.mark.parametrize(("name", "most"), [("README.md", 150), ("CONTRIBUTING.md", 100), ("ARCHITECTURE.md", 140)])
def test_what_a_newcomer_reads_first_is_short(name: str, most: int) -> None:
    assert len((ROOT / name).read_text().splitlines()) < most


def test_make_without_a_target_explains_every_command() -> None:
    makefile = (ROOT / "Makefile").read_text()
    shown = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    commands = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    assert set(re.findall(r"^  make (\S+) +\S", shown, re.MULTILINE)) == commands - {"java"}


def test_ci_runs_the_test_command_of_the_readme() -> None:
    assert "make test" in (ROOT / "README.md").read_text()
    assert (ROOT / ".ci/run").read_text().splitlines()[-1] == "make test"
