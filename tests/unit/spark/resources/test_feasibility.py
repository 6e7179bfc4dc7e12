from __future__ import annotations

from fractions import Fraction
from functools import partial
from typing import Any

import pytest
from pydantic import ValidationError

from spark_infer.config import ResourceOptions
from spark_infer.errors import ResourcesError
from spark_infer.spark.resources.application import Application, Executor
from spark_infer.spark.resources.feasibility import decide_way, require_possible

CLUSTERS = ("spark://host:7077", "local-cluster[1,4,1024]", "yarn", "k8s://https://host")


def application(master: str = "yarn", **given: Any) -> Application:
    return Application(**{"master": master, "executor_cores": 4, "executor_gpus": 2, **given})


def local(**given: Any) -> Application:
    return Application(master="local[2]", executors=(Executor(cores=2),), **given)


@pytest.mark.parametrize("master", CLUSTERS)
def test_a_cluster_serves_the_stage_by_a_resource_profile(master: str) -> None:
    assert decide_way(application(master), ResourceOptions(gpu=1, tasks_per_gpu=2)) == "profile"
    assert decide_way(application(master), ResourceOptions(cpus=2)) == "profile"


@pytest.mark.parametrize("master", [*CLUSTERS, "local[2]", ""])
def test_what_the_application_gives_every_task_anyway_needs_no_profile(master: str) -> None:
    assert decide_way(application(master), ResourceOptions()) == "application"
    own = application(master, task_cpus=2, task_gpus=Fraction(0 if master == "local[2]" else 1, 4))
    wanted = {} if master == "local[2]" else {"gpu": 1, "tasks_per_gpu": 4}
    assert decide_way(own, ResourceOptions(cpus=2, **wanted)) == "application"


def refused(given: Application, **resources: Any) -> str:
    with pytest.raises(ResourcesError) as caught:
        decide_way(given, ResourceOptions(**resources))
    return str(caught.value)


def test_gpus_that_the_executors_do_not_have_are_refused_with_their_settings() -> None:
    told = refused(application(executor_gpus=0), gpu=1, tasks_per_gpu=4)
    assert told.startswith("A task wants 1/4 of a GPU, and the executors have none.")
    assert "spark.executor.resource.gpu.amount=1" in told
    assert "spark.executor.resource.gpu.discoveryScript=" in told
    assert "spark.executor.resource.gpu.vendor=nvidia.com" in refused(
        application("k8s://https://host", executor_gpus=0), gpu=1
    )
    assert "of each worker: spark.worker.resource.gpu.amount=1" in refused(
        application("spark://host:7077", executor_gpus=0), gpu=1
    )
    told = refused(application(executor_gpus=1), gpu=2)
    assert told.startswith("A task wants 2 GPUs, and the executors have 1 each.")
    assert "spark.executor.resource.gpu.amount=2" in told


def test_cores_that_no_executor_has_are_refused() -> None:
    told = refused(application(), cpus=5)
    assert told.startswith("A task wants 5 cores, and no executor has more than 4.\n  resources.cpus is 5")
    assert "spark.task.cpus is 8" in refused(application(task_cpus=8))
    unknown = application(executor_cores=None, executors=(Executor(cores=3, gpus=2), Executor(cores=2, gpus=2)))
    assert "no executor has more than 3" in refused(unknown, cpus=4)


def test_what_the_application_was_started_with_is_refused_too_where_spark_would_wait_for_ever() -> None:
    assert "waits for ever" in refused(local(task_gpus=Fraction(1, 2)))
    assert "waits for ever" in refused(local(task_gpus=Fraction(1)), gpu=1, allow_cpu_fallback=True)
    assert refused(application(executor_gpus=0, task_gpus=Fraction(1))).startswith("A task wants 1 GPU,")


@pytest.mark.parametrize(
    "settings",
    [
        {"spark.master": "local[2]", "spark.task.cpus": "4"},
        {"spark.master": "local[2]", "spark.task.resource.gpu.amount": "0.5"},
        {"spark.master": "local-cluster[1,2,1024]", "spark.task.cpus": "4"},
        {"spark.master": "yarn", "spark.executor.cores": "4", "spark.task.cpus": "8"},
        {"spark.master": "k8s://x", "spark.task.resource.gpu.amount": "1"},
    ],
)
def test_settings_with_which_spark_would_not_start_or_wait_for_ever_are_refused(settings: dict[str, str]) -> None:
    with pytest.raises(ResourcesError):
        require_possible(settings)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"spark.master": "local[2]", "spark.task.cpus": "2"},
        {"spark.master": "local[*]", "spark.task.cpus": "2"},
        {"spark.master": "spark://h:1", "spark.task.cpus": "64"},
        {"spark.task.cpus": "two"},
    ],
)
def test_other_settings_are_left_to_spark(settings: dict[str, str]) -> None:
    require_possible(settings)


def test_executors_that_no_worker_of_the_cluster_can_start_are_refused() -> None:
    standalone = partial(application, "spark://host:7077", executor_gpus=1)
    told = refused(standalone(workers=(Executor(cores=8), Executor(cores=2, gpus=4))))
    assert told.startswith("No worker of spark://host:7077 can start an executor with 4 cores and 1 GPU:")
    assert "the best of its 2 workers has 2 cores and 4 GPUs" in told
    for workers in ((), None, (Executor(cores=4, gpus=1),)):
        assert decide_way(standalone(workers=workers), ResourceOptions(gpu=1)) == "profile"


def test_without_profiles_the_settings_for_the_whole_application_are_printed() -> None:
    told = refused(application(""), gpu=1, tasks_per_gpu=4, cpus=2)
    assert "spark.task.cpus=2\n  spark.task.resource.gpu.amount=0.25\n" in told
    assert "spark.task.cpus=2" in refused(local(), cpus=2)
    told = refused(local(), gpu=1)
    assert "local-cluster[1,CORES,MEMORY_MB]" in told
    assert "spark.worker.resource.gpu.discoveryScript=" in told


def test_a_cluster_of_a_spark_without_profiles_is_told_since_when_there_are_some() -> None:
    told = refused(application("yarn", stage_profiles=False), gpu=1, tasks_per_gpu=4)
    assert "came with Spark 4.0" in told
    assert "spark.task.resource.gpu.amount=0.25\n" in told


@pytest.mark.parametrize("given", [local(), application(executor_gpus=0), application("", executor_gpus=0)])
def test_the_cpu_serves_where_it_may(given: Application) -> None:
    assert decide_way(given, ResourceOptions(gpu=1, allow_cpu_fallback=True)) == "cpu"


def test_a_fallback_to_the_cpu_covers_no_cores() -> None:
    assert "no executor has more than 4" in refused(application(), gpu=1, cpus=5, allow_cpu_fallback=True)


@pytest.mark.parametrize(
    "given",
    [
        {"gpu": -1},
        {"tasks_per_gpu": 0.3},
        {"gpu": 2, "tasks_per_gpu": 2},
        {"tasks_per_gpu": 2},
        {"cpus": 0},
        {"allow_cpu_fallback": True},
        {"gpus": 1},
    ],
)
def test_resources_that_mean_nothing_are_no_resources(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ResourceOptions.model_validate(given)
