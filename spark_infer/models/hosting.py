"""Where workers obtain their model: each loads a copy, or they feed one that the host of their executor holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spark_infer.config import ScoreOptions
from spark_infer.errors import PlanError, ResourcesError, RunError
from spark_infer.printable import counted
from spark_infer.runtime.executor_process import java_ancestor

if TYPE_CHECKING:
    from spark_infer.models.backends.spec import LoadSpec
    from spark_infer.models.recipe import Recipe
    from spark_infer.runtime.assignment import Assignment
    from spark_infer.runtime.host.host_place import HostPlace
    from spark_infer.runtime.host.hosted_model import HostedModel, HostLimits
    from spark_infer.runtime.process_identity import ProcessIdentity


@dataclass(frozen=True, kw_only=True)
class ExecutorShape:
    """What one executor has for the workers of a scoring, as far as the driver knows.

    Attributes:
        tasks: How many tasks it runs at once, each in a worker; None where that is not known.
        cpus: Cores of a task.
        shares_gpu: Whether several tasks share a GPU.
        python_bytes: Memory that is meant for its Python processes; None where that is not known.
        whole_bytes: Memory that it cannot exceed, with all of its processes; None where that is not known.
        is_here: Whether it is known to run on this machine, as this user.
    """

    tasks: int | None
    cpus: int
    shares_gpu: bool = False
    python_bytes: int | None = None
    whole_bytes: int | None = None
    is_here: bool = False


@dataclass(frozen=True, kw_only=True)
class Hosting:
    """How a worker finds the host; plain values, which travel with the recipe.

    Attributes:
        threads: Threads of the model there: those of all tasks of the executor, since it serves them one by one.
        required: Whether a worker that finds no executor fails; else it loads its own copy.
    """

    threads: int
    required: bool


@dataclass(frozen=True, kw_only=True)
class HostingChoice:
    """Where workers obtain their model, and why.

    Attributes:
        hosting: How they find the host; None where each loads a copy.
        why: The reason with its arithmetic, for the plan.
    """

    hosting: Hosting | None = None
    why: str = ""


def choose_hosting(
    options: ScoreOptions, shape: ExecutorShape, size_bytes: int | None, *, uses_gpu: bool
) -> HostingChoice:
    """Decide where workers obtain their model.

    Args:
        options: What the user asked for.
        shape: What an executor has.
        size_bytes: What the loaded model takes; None where that was not measured.
        uses_gpu: Whether the model's backend has use for a GPU.

    Raises:
        ResourcesError: What was asked for is known not to fit.
        PlanError: The folder of the hosts of this machine is not this user's alone.
    """
    copies = shape.tasks or 1
    arithmetic = _arithmetic(shape, size_bytes)
    if options.hosting == "executor":
        _refuse(1, size_bytes, shape, next_step="give the executors more memory.")
        return HostingChoice(hosting=_hosting(shape, required=True), why=arithmetic)
    if options.hosting == "worker":
        _refuse(copies, size_bytes, shape, next_step="set hosting: executor, with which an executor has one copy.")
        return HostingChoice(why=arithmetic)
    if options.isolation is not None or copies == 1:
        return HostingChoice(why=arithmetic)
    gpu = shape.shares_gpu and uses_gpu
    needed = None if size_bytes is None else copies * size_bytes
    if gpu or (needed is not None and shape.python_bytes is not None and needed > shape.python_bytes):
        why = "tasks share a GPU" if gpu else "the copies would not fit"
        hosting = _hosting(shape, required=False)
        return HostingChoice(hosting=hosting, why=f"{why}: {arithmetic}" if arithmetic else why)
    return HostingChoice(why=arithmetic)


def _hosting(shape: ExecutorShape, *, required: bool) -> Hosting:
    if shape.is_here:
        from spark_infer.runtime.host.host_place import folder_of_hosts

        try:
            folder_of_hosts()
        except RunError as error:
            raise PlanError(error.what, details=error.details, next_step=error.next_step) from None
    return Hosting(threads=(shape.tasks or 1) * shape.cpus, required=required)


def _arithmetic(shape: ExecutorShape, size_bytes: int | None) -> str:
    if size_bytes is None or shape.tasks is None:
        return ""
    memory = shape.python_bytes
    room = "" if memory is None else f" of the {_size(memory)} that an executor has for Python"
    return f"{shape.tasks} x {_size(size_bytes)} = {_size(shape.tasks * size_bytes)}{room}"


def _refuse(copies: int, size_bytes: int | None, shape: ExecutorShape, *, next_step: str) -> None:
    if size_bytes is not None and shape.whole_bytes is not None and copies * size_bytes > shape.whole_bytes:
        raise ResourcesError(
            f"{counted(copies, 'copy', 'copies')} of the model do not fit into the memory of an executor.",
            details=[f"{copies} x {_size(size_bytes)}, as measured here, and {_size(shape.whole_bytes)} in all"],
            next_step=next_step,
        )


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:,.2f} GB"


@dataclass(frozen=True, kw_only=True)
class ModelHost:
    """The host of one model on the device of a task.

    Attributes:
        executor: The process with which it ends.
        place: Where it is.
        limits: What it may take.
    """

    executor: ProcessIdentity
    place: HostPlace
    limits: HostLimits

    def model(self, load: Callable[[LoadSpec, Path], Any], spec: LoadSpec, folder: Callable[[], Path]) -> HostedModel:
        """Return the model there; its files are looked for only where the host has not loaded it.

        Args:
            load: Loads it in the host.
            spec: How.
            folder: Finds its verified files on this node.
        """
        from spark_infer.runtime.host.hosted_model import HostedModel

        return HostedModel(
            lambda: partial(load, spec, folder()), executor=self.executor, place=self.place, limits=self.limits
        )


def executor_of(recipe: Recipe, assigned: Assignment) -> ProcessIdentity | None:
    """Return the executor whose host a task's model lives in; None where the worker loads a copy.

    Raises:
        RunError: The job requires a host, and this process has no executor in sight.
    """
    if recipe.hosting is None:
        return None
    executor = assigned.executor or java_ancestor()
    if executor is not None and executor.is_here():
        return executor
    if recipe.hosting.required:
        raise RunError(
            "This worker finds no process of its executor, with which a model host would have to end.",
            details=["it looks for a Java process that started it; on Linux, in the same namespace of processes"],
            next_step="set hosting: worker, with which each worker loads its own copy of the model.",
        )
    return None


def find_host(recipe: Recipe, spec: LoadSpec, executor: ProcessIdentity) -> ModelHost:
    """Return the host of a model in an executor; it may not run yet."""
    from spark_infer.runtime.host.host_place import HostPlace
    from spark_infer.runtime.host.hosted_model import HostLimits

    options, ref = recipe.options, recipe.ref
    return ModelHost(
        executor=executor,
        place=HostPlace.of(executor, spec.address or spec.device, spec.key(ref.digest)),
        limits=HostLimits(
            threads=spec.threads,
            load_seconds=options.load_seconds,
            predict_seconds=options.predict_seconds,
            max_rows=options.asked_batch_rows,
            max_bytes=options.max_batch_bytes,
            size_bytes=ref.size_bytes if spec.artefact is None else spec.artefact.size_bytes,
            cache_bytes=options.cache_bytes,
        ),
    )
