"""What the processes of engine `local` get of this machine."""

from __future__ import annotations

import os
from dataclasses import dataclass

from spark_infer.config import ResourceOptions
from spark_infer.errors import ResourcesError
from spark_infer.printable import counted


@dataclass(frozen=True, kw_only=True)
class LocalResources:
    """The cores of this machine, and how many of them one process takes."""

    cores: int
    cpus: int

    @property
    def processes(self) -> int:
        """How many processes run at once."""
        return self.cores // self.cpus

    def describe(self) -> tuple[str, ...]:
        """Say how many tasks and copies of the model there will be at once, and what stays idle."""
        idle = self.cores - self.cpus * self.processes
        lines = [
            f"at most {self.processes:,} at once, each a process of this machine with {counted(self.cpus, 'core')}",
            f"{counted(self.processes, 'copy', 'copies')} of the model, one in each process",
        ]
        if idle:
            lines.append(f"{counted(idle, 'core')} idle, since {self.cores} are no multiple of {self.cpus}")
        return tuple(lines)


def find_local_resources(resources: ResourceOptions) -> LocalResources:
    """Look at this machine.

    Raises:
        ResourcesError: It can never give a process what was asked for.
    """
    cores = len(os.sched_getaffinity(0))
    cpus = resources.cpus or 1
    if resources.gpu and not resources.allow_cpu_fallback:
        raise ResourcesError(
            "Engine `local` assigns no GPUs, and resources.gpu asks for one.",
            next_step="take resources.gpu out, set resources.allow_cpu_fallback: true, or set engine: spark.",
        )
    if cpus > cores:
        raise ResourcesError(
            f"resources.cpus asks for {cpus} cores for one task, and this process has {cores}.",
            next_step=f"set resources.cpus to {cores} or less.",
        )
    return LocalResources(cores=cores, cpus=cpus)
