"""What this machine offers Spark: Java, a Spark installation, memory, an interpreter for the workers.

Plain Python, no pyspark: `spark-infer doctor` asks the same questions when Spark is missing or broken.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from spark_infer.errors import EnvironmentProblem

INSTALL_JAVA = (
    "install Java 17 or newer (Debian, Ubuntu: `apt install openjdk-17-jre-headless`; "
    "Fedora: `dnf install java-17-openjdk-headless`; macOS: `brew install openjdk@17`)"
)
GIB = 2**30
_PROBE_SECONDS = 20
_CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


@dataclass(frozen=True)
class Java:
    """The Java that Spark's launcher would start."""

    path: str
    version: int


def require_java(environ: Mapping[str, str], spark_version: str) -> Java:
    """Find the Java that Spark would start, the way Spark does: `JAVA_HOME` first, then the PATH.

    Args:
        environ: The environment variables.
        spark_version: The installed PySpark's; Spark 3.5 takes Java 8 and later, Spark 4 takes 17 and later.

    Raises:
        EnvironmentProblem: There is none, it does not run, or it is older than this Spark needs.
    """
    home = environ.get("JAVA_HOME")
    path: str | None
    if home:
        path = str(Path(home) / "bin" / "java")
        if not os.access(path, os.X_OK):
            raise EnvironmentProblem(
                f"JAVA_HOME is {home!r}, and there is no bin/java in it.",
                next_step=f"{INSTALL_JAVA} and point JAVA_HOME at it, or unset JAVA_HOME",
            )
    else:
        path = shutil.which("java", path=environ.get("PATH"))
        if path is None:
            raise EnvironmentProblem(
                "Spark needs Java, and there is no `java` on the PATH and no JAVA_HOME.", next_step=INSTALL_JAVA
            )
    version = _java_version(path)
    if version is None:
        raise EnvironmentProblem(f"{path} does not run as a Java.", next_step=INSTALL_JAVA)
    major = spark_version.partition(".")[0]
    oldest = 8 if major == "3" else 17
    if version < oldest:
        raise EnvironmentProblem(
            f"Spark {major} needs Java {oldest} or newer, and {path} is Java {version}.",
            next_step=f"{INSTALL_JAVA} and point JAVA_HOME at it",
        )
    return Java(path, version)


def _java_version(path: str) -> int | None:
    try:
        shown = subprocess.run(
            [path, "-version"], capture_output=True, text=True, timeout=_PROBE_SECONDS, check=False
        ).stderr
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r'version "(?:1\.)?(\d+)', shown)  # before Java 9 the major number came second: "1.8.0_402"
    return int(found.group(1)) if found else None


def spark_home_version(home: Path) -> str | None:
    """Return the version of the Spark installed in a folder, None where none can be seen."""
    cores = sorted(home.glob("jars/spark-core_*.jar"))
    found = re.search(r"spark-core_[\d.]+-(\d+\.\d+\.\d+\S*)\.jar$", cores[0].name) if cores else None
    return found.group(1) if found else None


def require_matching_spark_home(environ: Mapping[str, str], pyspark_version: str) -> None:
    """Refuse a `SPARK_HOME` whose Spark is not the one that the installed pyspark speaks to.

    pyspark starts whatever Spark `SPARK_HOME` names; another minor version fails later, with an error about a
    missing Java method.
    """
    home = environ.get("SPARK_HOME")
    if not home:
        return
    if not (Path(home) / "bin" / "spark-submit").is_file():
        raise EnvironmentProblem(
            f"SPARK_HOME is {home!r}, and there is no Spark in it.",
            next_step="unset SPARK_HOME: the pyspark package brings its own Spark",
        )
    version = spark_home_version(Path(home))
    if version is not None and _minor(version) != _minor(pyspark_version):
        raise EnvironmentProblem(
            f"SPARK_HOME holds Spark {version}, and the installed pyspark is {pyspark_version}.",
            details=(f"SPARK_HOME is {home!r}",),
            next_step=f"unset SPARK_HOME, or install pyspark=={version}",
        )


def _minor(version: str) -> list[str]:
    return version.split(".")[:2]


def spark_defaults_file(environ: Mapping[str, str], spark_home: Path) -> Path:
    """Return where Spark's launcher looks for its defaults; there may be no such file."""
    return Path(environ.get("SPARK_CONF_DIR") or spark_home / "conf") / "spark-defaults.conf"


def read_spark_defaults(environ: Mapping[str, str], spark_home: Path) -> dict[str, str]:
    """Read the `spark-defaults.conf` that Spark's launcher would read; empty where there is none.

    What a builder sets wins over this file, so settings of ours have to look here first.
    """
    try:
        lines = spark_defaults_file(environ, spark_home).read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    settings = {}
    for line in lines:
        found = re.match(r"\s*([^\s#!=:]+)(?:\s*[=:]\s*|\s+)(.*\S)", line)
        if found:
            settings[found.group(1)] = found.group(2)
    return settings


def memory_bytes() -> int:
    """Return the memory this process may use: the machine's, or less where a container sets a limit."""
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for file in _CGROUP_LIMITS:
        try:
            limits.append(int(file.read_text(encoding="ascii")))
        except (OSError, ValueError):  # not in a container, or the limit reads "max"
            continue
    return min(limits)


def local_driver_memory(total_bytes: int) -> str:
    """Return the heap for a Spark that runs in this machine's driver alone.

    A quarter of the memory, at least 1 GiB and at most 8: the rest belongs to the Python workers, which hold
    the models and the batches.
    """
    heap = min(max(total_bytes // 4, GIB), 8 * GIB)
    return f"{heap // 2**20}m"


def is_local(master: str) -> bool:
    """Tell whether a master runs its workers on this machine."""
    return master.startswith("local")


def worker_python(master: str, conf: Mapping[str, str], environ: Mapping[str, str], executable: str) -> str | None:
    """Choose the interpreter of the Python workers; None leaves it to Spark, which runs `python3` there.

    What the user set wins. Without that, workers on this machine run the driver's own interpreter (Spark's
    default is whatever `python3` is on the PATH); on a cluster the driver's path means nothing.
    """
    chosen = conf.get("spark.pyspark.python") or environ.get("PYSPARK_PYTHON")
    if chosen:
        return chosen
    return executable if is_local(master) else None


def probe_python(python: str, *, modules: tuple[str, ...] = ()) -> tuple[str, tuple[str, ...]] | None:
    """Ask an interpreter for its `major.minor` version and which of some modules it cannot find.

    Returns:
        The version and the missing modules; None where the interpreter does not run.
    """
    # `-c` puts the current folder on the path, whose files would run or be taken for libraries. An older Python than
    # 3.11 has no option against that.
    code = (
        "import sys; sys.path[:] = filter(None, sys.path); "
        "import importlib.util as u; print('%d.%d' % sys.version_info[:2]); "
        f"print(' '.join(m for m in {list(modules)!r} if u.find_spec(m) is None))"
    )
    try:
        shown = subprocess.run(
            [python, "-c", code], capture_output=True, text=True, timeout=_PROBE_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = shown.stdout.splitlines()
    if shown.returncode != 0 or len(lines) != 2:
        return None
    return lines[0], tuple(lines[1].split())
