"""What `spark-infer doctor` looks at: one function for each thing, each with the fix."""

from __future__ import annotations

import os
import platform
import re
import shutil
import socket
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from urllib.parse import urlsplit

from packaging.requirements import Requirement
from packaging.version import Version

from spark_infer.cli import hardware
from spark_infer.cli.finding import Finding
from spark_infer.config.secrets import without_secrets
from spark_infer.errors import EnvironmentProblem, install_extra
from spark_infer.models.files.store import default_root
from spark_infer.observe.wording import size
from spark_infer.spark import environment

MIN_PYTHON = (3, 10)
MIN_SPARK = (3, 5)
ENOUGH_MEMORY_BYTES = 3 * 2**30
ENOUGH_DISK_BYTES = 2 * 2**30
_REGISTRY_SECONDS = 5.0
_DATABASE_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
_WORKER_MODULES = ("numpy", "pyarrow", "spark_infer")


def look_around(environ: Mapping[str, str], *, tracking_uri: str | None = None) -> list[Finding]:
    """Look at everything that a run needs from this machine; starts no Spark and waits 5 seconds at most for MLflow."""
    looks: tuple[Callable[[], Finding], ...] = (
        look_at_python,
        lambda: look_at_java(environ),
        lambda: look_at_spark(environ),
        lambda: look_at_delta(environ),
        lambda: look_at_delta_jar(environ),
        lambda: look_at_mlflow(environ, tracking_uri),
        lambda: look_at_workers(environ),
        look_at_memory,
        lambda: hardware.look_at_gpus(environ),
        lambda: hardware.look_at_slots(environ),
        lambda: look_at_model_store(environ),
        lambda: look_at_folder(
            "temp", Path(environ.get("SPARK_LOCAL_DIRS") or tempfile.gettempdir()), "SPARK_LOCAL_DIRS"
        ),
    )
    return [look() for look in looks]


def look_at_python() -> Finding:
    """Check the version of this Python."""
    found = f"{platform.python_version()}, {sys.executable}"
    if sys.version_info < MIN_PYTHON:
        return Finding("python", "problem", found, "make the environment with Python 3.10 or newer")
    return Finding("python", "ok", found)


def look_at_java(environ: Mapping[str, str]) -> Finding:
    """Check the Java that Spark would start."""
    try:
        java = environment.require_java(environ, _installed("pyspark") or "4")
    except EnvironmentProblem as problem:
        return Finding("java", "problem" if _installed("pyspark") else "note", problem.what, problem.next_step)
    return Finding("java", "ok", f"{java.version}, {java.path}")


def look_at_spark(environ: Mapping[str, str]) -> Finding:
    """Check the installed pyspark, and SPARK_HOME against it."""
    version = _installed("pyspark")
    if version is None:
        return Finding("spark", "note", "pyspark is not installed: engine local only", install_extra("spark"))
    if _numbers(version)[:2] < MIN_SPARK:
        return Finding("spark", "problem", f"pyspark {version} is too old", "pip install 'pyspark>=3.5,<5'")
    if _installed("pandas") is None:
        found = f"pyspark {version}, and pandas is not installed, without which it runs no Python functions"
        return Finding("spark", "problem", found, install_extra("spark"))
    try:
        environment.require_matching_spark_home(environ, version)
    except EnvironmentProblem as problem:
        return Finding("spark", "problem", problem.what, problem.next_step)
    home = environ.get("SPARK_HOME")
    return Finding("spark", "ok", f"pyspark {version}" + (f", SPARK_HOME={home}" if home else ""))


def look_at_delta(environ: Mapping[str, str]) -> Finding:
    """Check that delta-spark is made for the installed pyspark."""
    version, spark = _installed("delta-spark"), _installed("pyspark")
    if version is None:
        reads = "Delta tables with engine local only" if _installed("deltalake") else "Parquet only"
        return Finding("delta", "note", f"delta-spark is not installed: {reads}", install_extra("delta"))
    wanted = next((r for r in metadata.requires("delta-spark") or () if r.startswith("pyspark")), "pyspark")
    if spark is not None and Version(spark).base_version not in Requirement(wanted).specifier:
        return Finding(
            "delta",
            "problem",
            f"delta-spark {version} is made for {wanted}, and pyspark is {spark}",
            f"{install_extra('delta')}, which picks versions that fit",
        )
    return Finding("delta", "ok", f"delta-spark {version}")


def look_at_delta_jar(environ: Mapping[str, str]) -> Finding:
    """Check whether Delta's jar is on this machine or will be downloaded."""
    if _installed("delta-spark") is None or _installed("pyspark") is None:
        return Finding("delta jar", "note", "not looked for: delta-spark or pyspark is missing")
    from spark_infer.tables.delta import delta_conf

    package = delta_conf()["spark.jars.packages"].split(",")[0]
    group, artifact, version = package.split(":")
    home = Path(environ.get("HOME") or Path.home())
    caches = [*home.glob(f".ivy2*/jars/{group}_{artifact}-{version}.jar")]
    caches += [home.joinpath(".m2/repository", *group.split("."), artifact, version, f"{artifact}-{version}.jar")]
    if environ.get("SPARK_HOME"):
        caches += Path(environ["SPARK_HOME"]).glob(f"jars/{artifact}-{version}.jar")
    here = [path for path in caches if path.is_file()]
    if here:
        return Finding("delta jar", "ok", f"{package}, {here[0]}")
    return Finding(
        "delta jar",
        "note",
        f"{package} is not on this machine yet",
        "nothing, where Maven Central can be reached: the first start of Spark downloads it; "
        "else name a mirror in spark.jars.repositories or spark.jars.ivySettings",
    )


def look_at_mlflow(environ: Mapping[str, str], tracking_uri: str | None) -> Finding:
    """Check that MLflow is installed and that its server or store answers."""
    version = _installed("mlflow") or _installed("mlflow-skinny")
    if version is None:
        return Finding("mlflow", "note", "not installed: models by folder only", install_extra("mlflow"))
    uri = tracking_uri or environ.get("MLFLOW_TRACKING_URI")
    if not uri:
        return Finding(
            "mlflow",
            "note",
            f"{version}; no tracking URI is set, so MLflow uses sqlite:///mlflow.db in the current folder",
            "set MLFLOW_TRACKING_URI, or model.tracking_uri in the job file",
        )
    complaint = _registry_complaint(uri)
    shown = without_secrets(uri)
    if complaint is None:
        return Finding("mlflow", "ok", f"{version}, {shown}")
    return Finding("mlflow", "problem", f"{shown} {complaint}", "start it, or correct MLFLOW_TRACKING_URI")


def _registry_complaint(uri: str) -> str | None:
    """Say why a tracking URI cannot be used; None where it answers, or where only MLflow itself could tell."""
    parts = urlsplit(uri)
    scheme = parts.scheme.partition("+")[0]
    if scheme in ("http", "https"):
        return _http_complaint(f"{scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}/health")
    if scheme in _DATABASE_PORTS and parts.hostname:
        return _socket_complaint(parts.hostname, parts.port or _DATABASE_PORTS[scheme])
    if scheme == "sqlite":
        file = Path(uri.partition(":///")[2])
        return None if file.is_file() else "is not there yet"
    if scheme in ("", "file"):
        return "is a folder of files, which MLflow 3 no longer serves; use sqlite:///…"
    return None


def _http_complaint(url: str) -> str | None:
    try:
        with urllib.request.urlopen(url, timeout=_REGISTRY_SECONDS):
            return None
    except urllib.error.HTTPError as error:
        # A server that wants a password is there; MLflow will bring it.
        return None if error.code in (401, 403, 404) else f"answers with HTTP status {error.code}"
    except (OSError, ValueError) as error:
        return f"does not answer ({getattr(error, 'reason', None) or error})"


def _socket_complaint(host: str, port: int) -> str | None:
    try:
        socket.create_connection((host, port), timeout=_REGISTRY_SECONDS).close()
    except OSError as error:
        return f"does not answer ({error.strerror or error})"
    return None


def look_at_workers(environ: Mapping[str, str]) -> Finding:
    """Check the interpreter that Spark's Python workers would run on this machine."""
    python = environment.worker_python("local[*]", {}, environ, sys.executable) or "python3"
    mine = f"{sys.version_info.major}.{sys.version_info.minor}"
    fix = "unset PYSPARK_PYTHON, or let it name this environment's Python"
    probed = environment.probe_python(python, modules=_WORKER_MODULES)
    if probed is None:
        return Finding("workers", "problem", f"{python} does not run", fix)
    version, missing = probed
    if version != mine:
        return Finding("workers", "problem", f"{python} is Python {version}, and this is Python {mine}", fix)
    if missing:
        return Finding("workers", "problem", f"{python} cannot import {', '.join(missing)}", fix)
    return Finding("workers", "ok", f"Python {version}, {python}")


def look_at_memory() -> Finding:
    """Check memory and cores, and say what Spark would take of the memory."""
    memory = environment.memory_bytes()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    found = f"{size(memory)}, {cores} cores; Spark's JVM would take {environment.local_driver_memory(memory)}"
    if memory < ENOUGH_MEMORY_BYTES:
        return Finding("memory", "note", found, "give the machine 4 GB or more, or a small spark.driver.memory")
    return Finding("memory", "ok", found)


def look_at_model_store(environ: Mapping[str, str]) -> Finding:
    """Check the folder for model files."""
    try:
        return look_at_folder("model store", default_root(environ), "SPARK_INFER_HOME")
    except EnvironmentProblem as problem:
        return Finding("model store", "problem", problem.what, problem.next_step)


def look_at_temporary_folder(environ: Mapping[str, str]) -> Finding:
    """Check the folder for what Spark spills and shuffles."""
    folder = environ.get("SPARK_LOCAL_DIRS", "").split(",")[0] or tempfile.gettempdir()
    return look_at_folder("temp", Path(folder), "SPARK_LOCAL_DIRS")


def look_at_folder(name: str, folder: Path, variable: str) -> Finding:
    """Check that a folder, or the nearest one above it that exists, can be written and has room."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        return Finding(name, "problem", f"{there} cannot be written", f"let {variable} name another folder")
    free = shutil.disk_usage(there).free
    found = f"{folder}, {size(free)} free"
    if free < ENOUGH_DISK_BYTES:
        return Finding(name, "problem", found, f"make room, or let {variable} name a folder on another disk")
    return Finding(name, "ok", found)


def _installed(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _numbers(version: str) -> tuple[int, ...]:
    """Return the leading numbers of a version: `4.2.0.dev1` is (4, 2, 0)."""
    found = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(number) for number in found[0].split(".")) if found else ()
