"""How many tasks an application's executors run at once, and what they leave idle; arithmetic only."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from spark_infer.config import ResourceOptions
from spark_infer.printable import counted
from spark_infer.spark.resources.application import Application, Executor

# Spark counts a GPU in parts of 1e-16 (ResourceAmountUtils.ONE_ENTIRE_RESOURCE).
_PARTS_OF_A_GPU = 10**16


@dataclass(frozen=True, kw_only=True)
class Share:
    """What one task takes of an executor.

    Attributes:
        cpus: Cores.
        gpus: GPUs: a whole number, or 1/n where n tasks share one.
    """

    cpus: int
    gpus: Fraction = Fraction(0)

    @property
    def tasks_per_gpu(self) -> int:
        """How many such tasks share one GPU."""
        return math.floor(1 / self.gpus) if self.gpus else 0

    def tasks_on(self, executor: Executor) -> int:
        """How many such tasks run on an executor at once, as Spark counts them."""
        by_cores = executor.cores // self.cpus
        return min(by_cores, self.by_gpus(executor.gpus)) if self.gpus else by_cores

    def by_gpus(self, gpus: int) -> int:
        """How many such tasks run on some GPUs at once, where there are cores enough."""
        return gpus * self.tasks_per_gpu if self.gpus <= 1 else int(gpus // self.gpus)

    def gpus_used(self, executor: Executor) -> int:
        """How many GPUs of an executor get a task; Spark fills one before it takes the next."""
        tasks = self.tasks_on(executor)
        if not self.gpus:
            return 0
        return math.ceil(tasks / self.tasks_per_gpu) if self.gpus <= 1 else int(tasks * self.gpus)

    def __str__(self) -> str:
        return counted(self.cpus, "core") + (f" and {_gpus(self.gpus)}" if self.gpus else "")


def share_of(application: Application, resources: ResourceOptions) -> Share:
    """Return what a task of the scoring stage takes."""
    own = Share(cpus=application.task_cpus, gpus=application.task_gpus)
    if not resources.asks:
        return own
    return Share(cpus=resources.cpus or own.cpus, gpus=Fraction(resources.gpu, resources.tasks_per_gpu))


def gpu_amount(gpus: Fraction) -> float:
    """Return the amount by which Spark comes to as many tasks for one GPU as were meant.

    Spark divides doubles: with the double nearest to 1/93 it would run 92 tasks on a GPU.
    """
    amount, tasks = float(gpus), 1 / gpus
    while gpus < 1 and (int(amount * _PARTS_OF_A_GPU) * tasks > _PARTS_OF_A_GPU or math.floor(1 / amount) < tasks):
        amount = math.nextafter(amount, 0)
    return amount


@dataclass(frozen=True, kw_only=True)
class Slots:
    """What runs at once on some executors.

    Attributes:
        executors: The executors.
        share: What one task takes.
        tasks: Tasks at once; each has a Python worker, and each worker a copy of the model.
        idle_cores: Cores without a task.
        idle_gpus: GPUs without a task; GPUs that no task asks for count.
    """

    executors: tuple[Executor, ...]
    share: Share
    tasks: int
    idle_cores: int
    idle_gpus: int


def count_slots(executors: tuple[Executor, ...], share: Share) -> Slots:
    """Count the tasks that run at once on some executors."""
    tasks = [share.tasks_on(executor) for executor in executors]
    return Slots(
        executors=executors,
        share=share,
        tasks=sum(tasks),
        idle_cores=sum(each.cores for each in executors) - share.cpus * sum(tasks),
        idle_gpus=sum(each.gpus - share.gpus_used(each) for each in executors),
    )


def describe_copies(slots: Slots, *, hosted: bool = False) -> str:
    """Say how many copies of the model there will be, and where.

    Args:
        slots: What runs at once.
        hosted: Whether the workers of an executor feed one copy for each device.
    """
    share = slots.share
    gpus = sum(share.gpus_used(executor) for executor in slots.executors)
    if hosted:
        copies, device = (gpus, "GPU") if gpus else (len(slots.executors), "executor")
        return f"{counted(copies, 'copy', 'copies')} of the model, one for each {device}, which its workers feed"
    where = "one in each Python worker"
    if share.gpus > 1:
        where += f", over {share.gpus} GPUs each"
    elif gpus:
        most = min(share.tasks_per_gpu, max(share.tasks_on(executor) for executor in slots.executors))
        where += f": {'at most ' if slots.tasks < most * gpus else ''}{most} on each of {counted(gpus, 'GPU')}"
    return f"{counted(slots.tasks, 'copy', 'copies')} of the model, {where}"


def describe_idle(slots: Slots, *, by_application: bool) -> Iterator[str]:
    """Say which cores and GPUs stay idle in the scoring stage, and what to set.

    Args:
        slots: What runs at once.
        by_application: Whether the application's own settings decide, not `resources`.
    """
    executor = max(slots.executors, key=lambda each: (each.gpus, each.cores))
    share, tasks = slots.share, slots.share.tasks_on(executor)
    if slots.idle_gpus and not share.gpus:
        yield f"{counted(slots.idle_gpus, 'GPU')} idle: no task asks for one; set resources.gpu: 1"
    elif slots.idle_gpus and share.gpus > 1 and tasks == share.by_gpus(executor.gpus):
        yield f"{counted(slots.idle_gpus, 'GPU')} idle: {counted(executor.gpus, 'GPU')} are no multiple of {share.gpus}"
    elif slots.idle_gpus:
        fewer = max(1, tasks // executor.gpus)
        cores = share.cpus * share.tasks_per_gpu * executor.gpus if share.gpus <= 1 else share.cpus * executor.gpus
        lower = f"set {_per_gpu_key(fewer, by_application)} to use them all, or " if share.tasks_per_gpu > fewer else ""
        yield f"{counted(slots.idle_gpus, 'GPU')} idle because cores are missing: {lower}give executors {cores} cores"
    if slots.idle_cores and tasks:
        yield from _describe_idle_cores(slots.idle_cores, executor, share, by_application=by_application)


def _describe_idle_cores(idle: int, executor: Executor, share: Share, *, by_application: bool) -> Iterator[str]:
    cpus_key = "spark.task.cpus=" if by_application else "resources.cpus: "
    tasks = share.tasks_on(executor)
    choices = []
    if share.gpus and tasks < executor.cores // share.cpus:
        why = "the GPUs are taken"
        if executor.cores // tasks > share.cpus:
            choices.append(f"{cpus_key}{executor.cores // tasks} for models that use more threads")
        denser = executor.cores // (share.cpus * executor.gpus)
        if share.gpus <= 1 and denser > share.tasks_per_gpu:
            choices.append(f"{_per_gpu_key(denser, by_application)} where that many copies fit into a GPU's memory")
    else:
        why = f"{counted(executor.cores, 'core')} are no multiple of {share.cpus}"
        choices = ["spark.executor.cores to a multiple", f"{cpus_key}1"]
    yield f"{counted(idle, 'core')} idle, since {why}" + (f": set {', or '.join(choices)}" if choices else "")


def describe_executors(executors: tuple[Executor, ...]) -> str:
    """Say what executors there are, equal ones together."""
    kinds = {each: executors.count(each) for each in executors}
    return ", ".join(f"{counted(count, 'executor')} with {each}" for each, count in kinds.items())


def _per_gpu_key(tasks: int, by_application: bool) -> str:
    if by_application:
        return f"spark.task.resource.gpu.amount={gpu_amount(Fraction(1, tasks))}"
    return f"resources.tasks_per_gpu: {tasks}"


def _gpus(gpus: Fraction) -> str:
    return f"{gpus} of a GPU" if gpus < 1 else counted(int(gpus), "GPU")
