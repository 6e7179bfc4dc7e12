"""What a Spark application has: its executors, their cores and GPUs, and what its settings give every task."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

from spark_infer.printable import counted

Manager = Literal["local", "local-cluster", "standalone", "yarn", "kubernetes", "unknown"]

_ONE_CORE_BY_DEFAULT = ("yarn", "kubernetes")


@dataclass(frozen=True, kw_only=True)
class Executor:
    """Cores and GPUs of one executor, or of one worker that executors start on."""

    cores: int
    gpus: int = 0

    def __str__(self) -> str:
        return counted(self.cores, "core") + (f" and {counted(self.gpus, 'GPU')}" if self.gpus else "")


@dataclass(frozen=True, kw_only=True)
class Application:
    """What a Spark application says of itself.

    Attributes:
        master: Its master; empty where it does not say.
        task_cpus: `spark.task.cpus`.
        task_gpus: `spark.task.resource.gpu.amount`.
        executor_cores: Cores of each executor; None where the cluster decides.
        executor_gpus: `spark.executor.resource.gpu.amount`.
        dynamic: Whether executors come and go (`spark.dynamicAllocation.enabled`).
        executors: Those that are there; empty where none is, or nobody tells.
        workers: Those of a standalone cluster; None where nobody tells.
        stage_profiles: Whether this Spark gives the stage of a DataFrame a resource profile: since 4.0.
    """

    master: str = ""
    task_cpus: int = 1
    task_gpus: Fraction = Fraction(0)
    executor_cores: int | None = None
    executor_gpus: int = 0
    dynamic: bool = False
    executors: tuple[Executor, ...] = ()
    workers: tuple[Executor, ...] | None = None
    stage_profiles: bool = True

    @property
    def manager(self) -> Manager:
        """Who gives the application its executors."""
        starts: dict[str, Manager] = {
            "local-cluster": "local-cluster",
            "local": "local",
            "spark://": "standalone",
            "yarn": "yarn",
            "k8s://": "kubernetes",
        }
        return next((manager for start, manager in starts.items() if self.master.startswith(start)), "unknown")


def application_of(setting: Callable[[str], str | None]) -> Application:
    """Read an application from its settings.

    Args:
        setting: Returns a setting by its name; None or nothing where it is not set.
    """
    application = Application(
        master=setting("spark.master") or "",
        task_cpus=int(setting("spark.task.cpus") or 1),
        task_gpus=read_amount(setting("spark.task.resource.gpu.amount") or "0"),
        executor_gpus=int(setting("spark.executor.resource.gpu.amount") or 0),
        dynamic=(setting("spark.dynamicAllocation.enabled") or "").lower() == "true",
    )
    if application.manager == "local":
        return application
    if application.manager == "local-cluster":
        cores = next((executor.cores for executor in known_executors(application)), None)
    else:
        default = "1" if application.manager in _ONE_CORE_BY_DEFAULT else None
        asked = setting("spark.executor.cores") or default
        cores = None if asked is None else int(asked)
    return replace(application, executor_cores=cores)


def read_amount(amount: str) -> Fraction:
    """Read `spark.task.resource.gpu.amount` as Spark does: a part of a GPU is the largest 1/n that it fits."""
    gpus = Fraction(amount.strip() or 0)
    return Fraction(1, math.floor(1 / gpus)) if 0 < gpus <= 1 else gpus


def known_executors(application: Application) -> tuple[Executor, ...]:
    """Return the executors that are there, else those that the master or the settings promise; empty if neither."""
    if application.executors:
        return application.executors
    if found := re.fullmatch(r"local(?:\[(\d+)(?:,\s*\d+)?\])?", application.master):
        return (Executor(cores=int(found[1] or 1)),)
    if found := re.fullmatch(r"local-cluster\[\s*(\d+)\s*,\s*(\d+)\s*,\s*\d+\s*\]", application.master):
        return (Executor(cores=int(found[2]), gpus=application.executor_gpus),) * int(found[1])
    return ()


def executor_like(application: Application) -> Executor | None:
    """Return what each executor has by the settings; None where the cluster decides."""
    if application.executor_cores is None:
        return None
    return Executor(cores=application.executor_cores, gpus=application.executor_gpus)
