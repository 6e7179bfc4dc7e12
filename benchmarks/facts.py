"""What a result needs beside it to be read later: versions, machine, commit."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = (
    "spark-infer",
    "pyspark",
    "mlflow",
    "scikit-learn",
    "numpy",
    "scipy",
    "pandas",
    "pyarrow",
    "skops",
    "lightgbm",
    "xgboost",
    "torch",
)
REPOSITORY = Path(__file__).parents[1]


def versions() -> dict[str, str]:
    """Return the versions of what took part; a package that is not installed is left out."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    commit = _output("git", "-C", str(REPOSITORY), "describe", "--always", "--dirty", "--abbrev=12")
    java = Path(os.environ["JAVA_HOME"], "bin", "java") if "JAVA_HOME" in os.environ else Path("java")
    return found | {"java": _output(str(java), "-version").partition("\n")[0], "commit": commit}


def machine() -> dict[str, str | int | float]:
    """Return what the speed depends on: processor, cores in use, memory, load. No names, no addresses."""
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "cpu": models[0].partition(": ")[2] if models else platform.machine(),
        "cores": os.cpu_count() or 0,
        "cores_used": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "load_average": round(os.getloadavg()[0], 2),
    }


def _output(*command: str) -> str:
    """Return what a command printed on either stream, or nothing where it failed."""
    try:
        done = subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()
