"""The sdist and the wheel build, and hold what a user needs and nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest

from spark_infer import __version__
from spark_infer.job.__main__ import SCRIPT

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build both from a copy, the wheel from the sdist, with the setuptools that is installed here."""
    source = tmp_path_factory.mktemp("source")
    for file in ("LICENSE", "README.md", "pyproject.toml", "setup.cfg"):
        shutil.copy(ROOT / file, source)
    for folder in ("conf", "spark_infer"):
        shutil.copytree(
            ROOT / folder, source / folder, symlinks=True, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
        )
    build(source)
    return source / "dist"


def build(source: Path, *more: str, out: str = "dist") -> None:
    command = [sys.executable, "-m", "uv", "build", "--offline", "--no-build-isolation", "--python", sys.executable]
    environ = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000"}
    command += ["--out-dir", out, *more]
    done = subprocess.run(command, cwd=source, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def wheel(distributions: Path) -> zipfile.ZipFile:
    return zipfile.ZipFile(distributions / f"spark_infer-{__version__}-py3-none-any.whl")


def test_the_wheel_holds_every_module_and_data_file_of_the_package_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    wanted = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "spark_infer").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    metadata = f"spark_infer-{__version__}.dist-info/"
    assert {name for name in wheel.namelist() if not name.startswith(metadata)} == wanted
    assert {"spark_infer/py.typed", "spark_infer/demo/demo.yaml"} <= wanted
    assert SCRIPT.relative_to(ROOT).as_posix() in wanted  # what `python -m spark_infer.job --path` prints


def test_the_demo_job_in_the_wheel_is_the_one_in_conf(wheel: zipfile.ZipFile) -> None:
    assert wheel.read("spark_infer/demo/demo.yaml") == (ROOT / "conf/demo.yaml").read_bytes()


def test_the_wheel_names_its_licence_command_and_version(wheel: zipfile.ZipFile) -> None:
    folder = f"spark_infer-{__version__}.dist-info"
    metadata = HeaderParser().parsestr(wheel.read(f"{folder}/METADATA").decode())
    assert (metadata["Name"], metadata["Version"]) == ("spark-infer", __version__)
    assert metadata["License-Expression"] == "Apache-2.0"
    assert wheel.read(f"{folder}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
    assert b"spark-infer = spark_infer.cli.main:app" in wheel.read(f"{folder}/entry_points.txt")


def test_the_base_install_asks_for_no_framework(wheel: zipfile.ZipFile) -> None:
    metadata = HeaderParser().parsestr(wheel.read(f"spark_infer-{__version__}.dist-info/METADATA").decode())
    base = [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
    names = {line.partition(">")[0] for line in base}
    assert names == {
        "numpy",
        "packaging",
        "pyarrow",
        "pydantic",
        "pyyaml",
        "rich",
        "sqlglot",
        "typer",
        "typing-extensions",
    }
    extras = set(metadata.get_all("Provides-Extra", []))
    backends = {"catboost", "lightgbm", "mlflow", "onnx", "sklearn", "torch", "xgboost"}
    backends |= {"audio", "images", "sentence-transformers", "transformers"}
    assert extras == {
        "all",
        "compile",
        "connect",
        "delta",
        "demo",
        "llvm",
        "local",
        "python",
        "scan",
        "spark",
        *backends,
    }


def test_the_sdist_holds_the_package_and_what_builds_it(distributions: Path, wheel: zipfile.ZipFile) -> None:
    with tarfile.open(distributions / f"spark_infer-{__version__}.tar.gz") as sdist:
        files = {Path(*Path(member.name).parts[1:]).as_posix() for member in sdist if member.isfile()}
    assert {"LICENSE", "README.md", "pyproject.toml", "setup.cfg"} <= files
    modules = {name for name in wheel.namelist() if name.startswith("spark_infer/")}
    assert modules <= files
    others = {name for name in files - modules if not name.startswith("spark_infer.egg-info/")}
    assert others == {"LICENSE", "PKG-INFO", "README.md", "pyproject.toml", "setup.cfg"}


def test_the_sources_build_the_wheel_that_the_sdist_builds_to_the_byte(distributions: Path) -> None:
    build(distributions.parent, "--wheel", out="straight")
    (one,), (other,) = (folder.glob("*.whl") for folder in (distributions, distributions.parent / "straight"))
    assert one.read_bytes() == other.read_bytes()
