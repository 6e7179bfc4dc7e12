"""Whether an application can give the scoring stage's tasks what they ask for: how, or why never."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

from spark_infer.config import ResourceOptions
from spark_infer.errors import ResourcesError
from spark_infer.printable import counted
from spark_infer.spark.resources.application import Application, Executor, application_of, known_executors
from spark_infer.spark.resources.slots import Share, gpu_amount, share_of

Way = Literal["application", "profile", "cpu"]
"""``application``: its own settings give each task its share; ``profile``: a resource profile on the scoring stage
does; ``cpu``: no GPU can be had, and the CPU will do."""

_DOCS = "docs/gpus.md has the settings for each cluster manager"


def decide_way(application: Application, resources: ResourceOptions) -> Way:
    """Decide how the tasks get what they ask for.

    Raises:
        ResourcesError: They never can: Spark would wait for ever, or fail in every task.
    """
    own = Share(cpus=application.task_cpus, gpus=application.task_gpus)
    _refuse_own_settings(application, own)
    if not resources.asks:
        return "application"
    wanted = share_of(application, resources)
    try:
        if wanted == own:
            return "application"
        _refuse_share(application, wanted)
        _refuse_without_profiles(application, wanted)
    except ResourcesError:
        if resources.allow_cpu_fallback and wanted.cpus == own.cpus:
            return "cpu"
        raise
    return "profile"


def require_possible(settings: Mapping[str, str]) -> None:
    """Refuse settings with which Spark would not start, or would wait for ever with its first task.

    Raises:
        ResourcesError: A task wants more cores or GPUs than any executor will have.
    """
    try:
        application = application_of(settings.get)
    except ValueError:
        return  # what is no number, Spark names itself
    decide_way(application, ResourceOptions())


def application_settings(share: Share) -> Iterator[str]:
    """Yield the settings by which an application gives every task its share."""
    yield f"spark.task.cpus={share.cpus}"
    if share.gpus:
        yield f"spark.task.resource.gpu.amount={gpu_amount(share.gpus):g}"


def executor_settings(application: Application, gpus: int) -> Iterator[str]:
    """Yield the settings by which executors of this application's cluster have GPUs."""
    script = "discoveryScript=/path/to/gpu_discovery.sh"
    match application.manager:
        case "kubernetes":
            yield f"spark.executor.resource.gpu.amount={gpus}"
            yield f"spark.executor.resource.gpu.{script}"
            yield "spark.executor.resource.gpu.vendor=nvidia.com"
        case "standalone" | "local-cluster" | "local":
            yield f"spark.executor.resource.gpu.amount={gpus}"
            yield f"and of each worker: spark.worker.resource.gpu.amount={gpus}, spark.worker.resource.gpu.{script}"
        case _:
            yield f"spark.executor.resource.gpu.amount={gpus}"
            yield f"spark.executor.resource.gpu.{script}"


def _refuse_own_settings(application: Application, own: Share) -> None:
    """Refuse what the application was started with where its tasks can never run."""
    if application.manager == "local" and own.gpus:
        raise ResourcesError(
            f"With master {application.master!r} Spark has no GPUs to give, and waits for ever with a task that wants "
            "one.",
            details=[f"spark.task.resource.gpu.amount is {gpu_amount(own.gpus):g}"],
            next_step="take spark.task.resource.gpu.amount out, or start the application on a cluster; on one machine "
            "that is master=local-cluster[1,CORES,MEMORY_MB].",
        )
    _refuse_share(application, own)
    workers = application.workers
    needed = Executor(cores=application.executor_cores or own.cpus, gpus=application.executor_gpus)
    if workers and not any(each.cores >= needed.cores and each.gpus >= needed.gpus for each in workers):
        best = max(workers, key=lambda each: (each.gpus, each.cores))
        raise ResourcesError(
            f"No worker of {application.master} can start an executor with {needed}: Spark would wait for ever.",
            details=[f"the best of its {counted(len(workers), 'worker')} has {best}"],
            next_step="give the workers spark.worker.resource.gpu.amount and spark.worker.resource.gpu."
            "discoveryScript, or lower spark.executor.cores and spark.executor.resource.gpu.amount.",
        )


def _refuse_share(application: Application, share: Share) -> None:
    cores = _most_cores(application)
    if cores is not None and share.cpus > cores:
        raise ResourcesError(
            f"A task wants {share.cpus} cores, and no executor has more than {cores}.",
            details=[f"{_origin(application, share.cpus)}; the executors' cores are {_cores_setting(application)}"],
            next_step=f"raise that to {share.cpus}, or ask for {cores} at most.",
        )
    if application.manager == "local" or share.gpus <= application.executor_gpus:
        return
    have = "none" if not application.executor_gpus else f"{application.executor_gpus} each"
    needed = max(1, int(share.gpus))
    raise ResourcesError(
        f"A task wants {share.gpus} of a GPU, and the executors have {have}."
        if share.gpus < 1
        else f"A task wants {share.gpus} GPU{'s' if share.gpus > 1 else ''}, and the executors have {have}.",
        details=["start the application with:", *executor_settings(application, needed)],
        next_step=f"{_DOCS}; or ask for fewer with resources.gpu.",
    )


def _refuse_without_profiles(application: Application, wanted: Share) -> None:
    if application.manager in ("standalone", "local-cluster", "yarn", "kubernetes"):
        if application.stage_profiles:
            return
        raise ResourcesError(
            "This Spark cannot give the stage that scores other resources than the rest: that came with Spark 4.0.",
            details=["start the application with:", *application_settings(wanted)],
            next_step="with these settings every task takes that share, and resources may stay as they are.",
        )
    if application.manager == "local":
        settings = list(application_settings(Share(cpus=wanted.cpus)))
        if wanted.gpus:
            raise ResourcesError(
                f"With master {application.master!r} Spark has no GPUs to give: the task wants {wanted}.",
                details=[
                    "on one machine start the application with master=local-cluster[1,CORES,MEMORY_MB] and",
                    *executor_settings(application, max(1, int(wanted.gpus))),
                ],
                next_step="or set resources.allow_cpu_fallback: true, to score on the CPU here.",
            )
        raise ResourcesError(
            f"With master {application.master!r} Spark gives every task the same cores, and the scoring stage asks "
            f"for {wanted.cpus} where the application gives {application.task_cpus}.",
            details=["start the application with:", *settings],
            next_step="or take resources.cpus out.",
        )
    raise ResourcesError(
        "This session cannot give one stage other resources than the rest: it does not say that its master is "
        "standalone, YARN or Kubernetes.",
        details=["start the application with:", *application_settings(wanted)],
        next_step="with these settings every task takes that share, and resources may stay as they are.",
    )


def _most_cores(application: Application) -> int | None:
    if application.executor_cores is not None:
        return application.executor_cores
    return max((executor.cores for executor in known_executors(application)), default=None)


def _origin(application: Application, cpus: int) -> str:
    return f"spark.task.cpus is {cpus}" if cpus == application.task_cpus else f"resources.cpus is {cpus}"


def _cores_setting(application: Application) -> str:
    in_master = application.manager in ("local", "local-cluster")
    return f"those of the master, {application.master!r}" if in_master else "spark.executor.cores"
