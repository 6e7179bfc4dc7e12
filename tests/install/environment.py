"""A clean virtual environment below build/: it shares its files with uv's cache, and is removed afterwards."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[2]
UV = str(Path(sys.executable).with_name("uv"))
PYTHONS = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', (ROOT / "pyproject.toml").read_text())
"""The minor versions that the package says it runs on, the oldest first."""


@dataclass(frozen=True)
class Environment:
    """A virtual environment with one Python.

    Attributes:
        folder: Where it lies.
    """

    folder: Path

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin/python"

    def install(self, *arguments: str) -> None:
        """Install what `uv pip install` takes; its complaint is the test's."""
        command = [UV, "pip", "install", "--quiet", "--python", str(self.python), *arguments]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def run(self, folder: Path, *command: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment in a folder; it sees no other environment, and no Python of the tests."""
        own = {
            "PATH": f"{self.folder}/bin:/usr/bin:/bin",
            "HOME": os.environ.get("HOME", "/"),
            "SPARK_INFER_HOME": str(self.folder / "store"),
            "MLFLOW_DISABLE_TELEMETRY": "true",
            **{name: os.environ[name] for name in ("JAVA_HOME", "SSL_CERT_FILE") if name in os.environ},
        }
        program, *arguments = map(str, command)
        return subprocess.run(
            [str(self.folder / "bin" / program), *arguments],
            cwd=folder,
            env={**own, **environ},
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )


@contextmanager
def environment(python: str, name: str) -> Iterator[Environment]:
    """Make an environment with a Python that is here or that uv fetches; it is removed afterwards."""
    folder = ROOT / "build/install" / f"{python}-{name}"
    command = [UV, "venv", "--quiet", "--clear", "--no-project", "--python", python, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    try:
        yield Environment(folder)
    finally:
        shutil.rmtree(folder)


def build_wheel(folder: Path) -> Path:
    """Build the wheel of this checkout, by the sdist."""
    command = [UV, "build", "--quiet", "--no-build-isolation", "--python", sys.executable, "--out-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("*.whl")
    return wheel


def built_pyspark() -> Path:
    """Return a folder with wheels of PySpark, which comes as source: the newest, and the one of this environment.

    Where an index does not say that its files stay the same, uv would build it for each environment.
    """
    folder = ROOT / "build/install/wheels"
    if not folder.is_dir():
        stored = "--config-settings=--build-option=--compression=stored"  # the jars in it are compressed already
        for wanted in ("pyspark<5", f"pyspark=={metadata.version('pyspark')}"):
            command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", stored, "--wheel-dir", str(folder)]
            done = subprocess.run([*command, wanted], capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
    return folder


def seconds_to_install(python: str, wheel: Path) -> float:
    """Return how long the package and all it needs take to fetch and install, with nothing in a cache."""
    with environment(python, "cold") as clean:
        began = time.monotonic()
        clean.install("--no-cache", str(wheel))
        return time.monotonic() - began
