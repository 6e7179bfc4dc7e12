"""What the scoring stage's tasks get of the running application: decided, and put into a resource profile."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

from pyspark.errors import PySparkException
from pyspark.resource import ResourceProfile, ResourceProfileBuilder, TaskResourceRequests
from pyspark.sql import SparkSession

from spark_infer.config import ResourceOptions
from spark_infer.errors import ResourcesError
from spark_infer.models.backends.native import uses_gpu
from spark_infer.models.hosting import ExecutorShape
from spark_infer.spark.resources.application import (
    Application,
    executor_like,
    known_executors,
)
from spark_infer.spark.resources.executor_memory import executor_memory
from spark_infer.spark.resources.feasibility import Way, application_settings, decide_way
from spark_infer.spark.resources.running_application import GPU, executors_of, read_application
from spark_infer.spark.resources.slots import (
    Share,
    count_slots,
    describe_copies,
    describe_executors,
    describe_idle,
    gpu_amount,
    share_of,
)
from spark_infer.spark.server import is_connect
from spark_infer.spark.session_settings import setting

_PROFILES: dict[tuple[str, Share], ResourceProfile] = {}


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What a task of the scoring stage gets, and how; decided on the driver.

    Attributes:
        resources: What was asked for.
        application: The application as it was then.
        way: How the tasks get it.
        profile: The resource profile for the scoring stage; None where the application's own settings do.
    """

    resources: ResourceOptions
    application: Application
    way: Way
    profile: ResourceProfile | None

    @property
    def share(self) -> Share:
        """What one task takes."""
        if self.way == "cpu":
            return Share(cpus=self.application.task_cpus)
        return share_of(self.application, self.resources)

    def slots(self, spark: SparkSession) -> int | None:
        """How many tasks run at once; None where that is not known. Reads again."""
        executors = known_executors(replace(self.application, executors=executors_of(spark)))
        return count_slots(executors, self.share).tasks or None if executors else None

    def executor_shape(self, spark: SparkSession) -> ExecutorShape:
        """Return what an executor has for its Python workers, as far as this session says; reads again."""
        application = replace(self.application, executors=executors_of(spark))
        found = known_executors(application) or tuple(filter(None, [executor_like(application)]))
        share = self.share
        python_bytes, whole_bytes = executor_memory(application, partial(setting, spark))
        return ExecutorShape(
            tasks=max((share.tasks_on(each) for each in found), default=None),
            cpus=share.cpus,
            shares_gpu=0 < share.gpus < 1,
            python_bytes=python_bytes,
            whole_bytes=whole_bytes,
        )

    def describe(self, spark: SparkSession, *, hosted: bool = False) -> tuple[str, ...]:
        """Say how many tasks and copies of the model there will be at once, and what stays idle; reads again."""
        application = replace(self.application, executors=executors_of(spark))
        executors, like = known_executors(application), executor_like(application)
        lines = [f"each takes {self.share}" + self._how(application)]
        if executors:
            slots = count_slots(executors, self.share)
            lines.insert(0, f"at most {slots.tasks:,} at once on {describe_executors(executors)}")
            lines += [
                describe_copies(slots, hosted=hosted),
                *describe_idle(slots, by_application=not self.resources.asks),
            ]
        elif like is not None:
            slots = count_slots((like,), self.share)
            lines.insert(0, f"at most {slots.tasks:,} at once on each executor with {like}")
            lines += describe_idle(slots, by_application=not self.resources.asks)
        else:
            why = (
                "Spark Connect does not tell of executors" if is_connect(spark) else "no executor has registered so far"
            )
            lines.insert(0, f"how many at once is not known: {why}")
        return tuple(lines)

    def warnings(self) -> tuple[str, ...]:
        """Say what the reader should know."""
        if self.way == "cpu":
            return ("no GPU can be had here: the CPU serves, as resources.allow_cpu_fallback allows",)
        if self.profile is not None and self.application.dynamic:
            return (
                "dynamic allocation is on: Spark starts executors of their own for the scoring stage; without them set "
                + " and ".join(application_settings(self.share)),
            )
        return ()

    def _how(self, application: Application) -> str:
        if self.profile is None:
            return ""
        executors = known_executors(application)
        own = count_slots(executors, Share(cpus=application.task_cpus, gpus=application.task_gpus))
        rest = f"run {own.tasks:,} tasks at once" if executors else "keep the application's own settings"
        return f", by a resource profile on the stage that reads and scores alone; other stages {rest}"


def plan_stage(spark: SparkSession, resources: ResourceOptions) -> Stage:
    """Decide what a task of the scoring stage gets; starts no task.

    Raises:
        ResourcesError: It can never get what it asks for.
    """
    application = read_application(spark)
    way = decide_way(application, resources)
    share = share_of(application, resources)
    profile = _profile(spark, share) if way == "profile" else None
    return Stage(resources=resources, application=application, way=way, profile=profile)


def refuse_idle_gpu(stage: Stage, backend: str) -> None:
    """Refuse a GPU for a backend that has no use for one, unless the CPU will do.

    Raises:
        ResourcesError: A GPU would be held and stay idle.
    """
    if stage.resources.gpu and not stage.resources.allow_cpu_fallback and not uses_gpu(backend):
        raise ResourcesError(
            f"Backend {backend!r} runs on the CPU alone, and resources.gpu asks for a GPU.",
            next_step="take resources.gpu out; or set resources.allow_cpu_fallback: true.",
        )


def _profile(spark: SparkSession, share: Share) -> ResourceProfile:
    # One for each share: with dynamic allocation every new profile has executors of its own.
    key = (setting(spark, "spark.app.id"), share)
    if key not in _PROFILES:
        requests = TaskResourceRequests().cpus(share.cpus)
        if share.gpus:
            requests = requests.resource(GPU, gpu_amount(share.gpus))
        profile = ResourceProfileBuilder().require(requests).build
        if is_connect(spark):
            _register(profile, share)
        _PROFILES[key] = profile
    return _PROFILES[key]


def _register(profile: ResourceProfile, share: Share) -> None:
    try:
        profile.id  # noqa: B018 - has the server make it, and say no where it cannot
    except PySparkException as error:
        raise ResourcesError(
            "The Spark Connect server takes no resource profile.",
            details=["start the server with:", *application_settings(share)],
            next_step="with these settings every task takes that share, and resources may stay as they are.",
        ) from error
