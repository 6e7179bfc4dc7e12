"""What `spark-infer doctor` finds about GPUs, and about the cores and GPUs that Spark's settings ask for."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from spark_infer.cli.finding import Finding
from spark_infer.config import ResourceOptions
from spark_infer.errors import DeviceError, ResourcesError
from spark_infer.runtime.device import VISIBLE, bind_address
from spark_infer.spark.environment import read_spark_defaults
from spark_infer.spark.resources.application import application_of, executor_like, known_executors
from spark_infer.spark.resources.feasibility import decide_way
from spark_infer.spark.resources.slots import count_slots, describe_executors, describe_idle, share_of

_SMI_SECONDS = 20


def look_at_gpus(environ: Mapping[str, str]) -> Finding:
    """Check the GPUs of this machine, and that `CUDA_VISIBLE_DEVICES` hides none of them by mistake."""
    smi = shutil.which("nvidia-smi", path=environ.get("PATH"))
    if smi is None:
        return Finding("gpus", "ok", "none: there is no nvidia-smi on the PATH")
    try:
        done = subprocess.run([smi, "-L"], capture_output=True, text=True, timeout=_SMI_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return Finding("gpus", "problem", f"{smi} does not answer", "mend NVIDIA's driver")
    uuids = re.findall(r"UUID: ((?:GPU|MIG)-[^)\s]+)", done.stdout)
    if done.returncode or not uuids:
        told = (done.stdout + done.stderr).strip().splitlines() or ["nothing"]
        return Finding("gpus", "problem", f"nvidia-smi -L says: {told[0]}", "mend NVIDIA's driver")
    found = ", ".join(re.findall(r"^GPU \d+: (.*?) \(UUID", done.stdout, re.MULTILINE))
    if VISIBLE not in environ:
        return Finding("gpus", "ok", found)
    try:
        bind_address(uuids[0], {VISIBLE: environ[VISIBLE]})
    except DeviceError:
        hidden = f"{found}; {VISIBLE} is {environ[VISIBLE]!r}"
        return Finding("gpus", "note", hidden, f"unset {VISIBLE}, unless it is meant to hide GPUs from this process")
    return Finding("gpus", "ok", f"{found}; {VISIBLE} is {environ[VISIBLE]!r}")


def look_at_slots(environ: Mapping[str, str]) -> Finding:
    """Check what `spark-defaults.conf` gives a task, against what it gives an executor."""
    pyspark = find_spec("pyspark")
    home = environ.get("SPARK_HOME") or (str(Path(pyspark.origin).parent) if pyspark and pyspark.origin else "")
    settings = read_spark_defaults(environ, Path(home))
    if settings.get("spark.master", "local[*]") == "local[*]":
        settings["spark.master"] = f"local[{os.cpu_count() or 1}]"
    try:
        application = application_of(settings.get)
        decide_way(application, ResourceOptions())
    except ResourcesError as error:
        return Finding("slots", "problem", error.what, error.next_step)
    except ValueError as error:
        return Finding("slots", "problem", f"spark-defaults.conf: {error}", "correct the number")
    like = executor_like(application)
    executors = known_executors(application) or (() if like is None else (like,))
    share = share_of(application, ResourceOptions())
    if not executors:
        return Finding("slots", "ok", f"a task takes {share}; the executors' cores are the cluster's to decide")
    slots = count_slots(executors, share)
    found = f"{slots.tasks} tasks at once on {describe_executors(executors)}; each takes {share}"
    idle = "; ".join(describe_idle(slots, by_application=True))
    return Finding("slots", "note" if idle else "ok", found, idle)
