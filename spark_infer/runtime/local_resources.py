"""What the processes of engine `local` get of this machine."""

from __future__ import annotations

import os
from dataclasses import dataclass

from spark_infer.config import ResourceOptions
from spark_infer.errors import ResourcesError
from spark_infer.printable import counted
from spark_infer.runtime.assignment import Assignment
from spark_infer.runtime.process_identity import ProcessIdentity


@dataclass(frozen=True, kw_only=True)
class LocalResources:
    """The cores of this machine, how many of them one process takes, and how many jobs share them."""

    cores: int
    cpus: int
    shared_by: int = 1

    @property
    def processes(self) -> int:
        """How many processes run at once: this job's part, at least one."""
        return max(1, self.cores // self.cpus // self.shared_by)

    def assigned(self, resources: ResourceOptions) -> Assignment:
        """Return what a process of this one gets; all of them share the model host of this one, if any."""
        return Assignment(cpus=self.cpus, resources=resources, executor=ProcessIdentity.own())

    def describe(self, *, hosted: bool) -> tuple[str, ...]:
        """Say how many tasks and copies of the model there will be at once, and what stays idle."""
        idle = 0 if self.shared_by > 1 else self.cores - self.cpus * self.processes
        lines = [
            f"at most {self.processes:,} at once, each a process of this machine with {counted(self.cpus, 'core')}",
            "1 copy of the model, in a process that all of them feed"
            if hosted
            else f"{counted(self.processes, 'copy', 'copies')} of the model, one in each process",
        ]
        if idle:
            lines.append(f"{counted(idle, 'core')} idle, since {self.cores} are no multiple of {self.cpus}")
        return tuple(lines)


def find_local_resources(resources: ResourceOptions, *, shared_by: int = 1) -> LocalResources:
    """Look at this machine, for one of some jobs that run at once.

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
    return LocalResources(cores=cores, cpus=cpus, shared_by=shared_by)
