from __future__ import annotations

import math
from fractions import Fraction

import pytest

from spark_infer.config import ResourceOptions
from spark_infer.spark.resources.application import Application, Executor, read_amount
from spark_infer.spark.resources.slots import (
    Share,
    count_slots,
    describe_copies,
    describe_executors,
    describe_idle,
    gpu_amount,
    share_of,
)

HALF, THIRD, QUARTER = Fraction(1, 2), Fraction(1, 3), Fraction(1, 4)


def share(cpus: int = 1, gpus: Fraction | int = 0) -> Share:
    return Share(cpus=cpus, gpus=Fraction(gpus))


@pytest.mark.parametrize(
    ("cores", "gpus", "wanted", "tasks", "idle_cores", "idle_gpus"),
    [
        (4, 0, share(1), 4, 0, 0),
        (4, 0, share(2), 2, 0, 0),
        (7, 0, share(2), 3, 1, 0),
        (1, 0, share(2), 0, 1, 0),
        # 2 GPUs x 2 tasks = 4 tasks of 1 core.
        (4, 2, share(1, HALF), 4, 0, 0),
        (8, 2, share(1, HALF), 4, 4, 0),
        (8, 2, share(2, HALF), 4, 0, 0),
        # 2 cores run 2 tasks; both fit on the first GPU, which Spark fills before it takes the second.
        (2, 2, share(1, HALF), 2, 0, 1),
        (2, 2, share(1, 1), 2, 0, 0),
        (4, 3, share(1, QUARTER), 4, 0, 2),
        (5, 3, share(1, QUARTER), 5, 0, 1),
        (12, 1, share(1, THIRD), 3, 9, 0),
        # Whole GPUs: 5 // 2 = 2 tasks, which hold 4 of 5.
        (8, 5, share(1, 2), 2, 6, 1),
        (8, 1, share(1, 2), 0, 8, 1),
        # GPUs that nobody asks for.
        (4, 2, share(1), 4, 0, 2),
    ],
)
def test_tasks_at_once_and_what_stays_idle_on_one_executor(
    cores: int, gpus: int, wanted: Share, tasks: int, idle_cores: int, idle_gpus: int
) -> None:
    slots = count_slots((Executor(cores=cores, gpus=gpus),), wanted)
    assert (slots.tasks, slots.idle_cores, slots.idle_gpus) == (tasks, idle_cores, idle_gpus)


def test_executors_that_differ_are_counted_one_by_one() -> None:
    executors = (Executor(cores=4, gpus=2), Executor(cores=4, gpus=2), Executor(cores=3))
    slots = count_slots(executors, share(2, HALF))
    assert (slots.tasks, slots.idle_cores, slots.idle_gpus) == (4, 3, 2)
    assert describe_executors(executors) == "2 executors with 4 cores and 2 GPUs, 1 executor with 3 cores"


@pytest.mark.parametrize(
    ("executor", "wanted", "told"),
    [
        (Executor(cores=4), share(1), "8 copies of the model, one in each Python worker"),
        (
            Executor(cores=4, gpus=2),
            share(1, HALF),
            "8 copies of the model, one in each Python worker: 2 on each of 4 GPUs",
        ),
        (
            Executor(cores=2, gpus=2),
            share(1, HALF),
            "4 copies of the model, one in each Python worker: 2 on each of 2 GPUs",
        ),
        (
            Executor(cores=5, gpus=3),
            share(1, QUARTER),
            "10 copies of the model, one in each Python worker: at most 4 on each of 4 GPUs",
        ),
        (Executor(cores=2, gpus=4), share(1, 2), "4 copies of the model, one in each Python worker, over 2 GPUs each"),
        (
            Executor(cores=1, gpus=1),
            share(1, 1),
            "2 copies of the model, one in each Python worker: 1 on each of 2 GPUs",
        ),
    ],
)
def test_the_copies_of_the_model_are_told_with_their_place(executor: Executor, wanted: Share, told: str) -> None:
    assert describe_copies(count_slots((executor, executor), wanted)) == told


@pytest.mark.parametrize(
    ("executor", "wanted", "told"),
    [
        (Executor(cores=4), share(1), "2 copies of the model, one for each executor, which its workers feed"),
        (Executor(cores=4, gpus=2), share(1, HALF), "4 copies of the model, one for each GPU, which its workers feed"),
    ],
)
def test_a_model_host_holds_one_copy_for_each_device(executor: Executor, wanted: Share, told: str) -> None:
    assert describe_copies(count_slots((executor, executor), wanted), hosted=True) == told


@pytest.mark.parametrize(
    ("executor", "wanted", "told"),
    [
        (Executor(cores=4), share(1), []),
        (Executor(cores=4, gpus=2), share(1, HALF), []),
        (
            Executor(cores=8, gpus=2),
            share(1, HALF),
            [
                "4 cores idle, since the GPUs are taken: set resources.cpus: 2 for models that use more threads, or "
                "resources.tasks_per_gpu: 4 where that many copies fit into a GPU's memory"
            ],
        ),
        (
            Executor(cores=6, gpus=2),
            share(1, HALF),
            [
                "2 cores idle, since the GPUs are taken: set resources.tasks_per_gpu: 3 where that many copies fit "
                "into a GPU's memory"
            ],
        ),
        (Executor(cores=3, gpus=2), share(1, 1), ["1 core idle, since the GPUs are taken"]),
        (Executor(cores=2, gpus=5), share(1, 2), ["1 GPU idle: 5 GPUs are no multiple of 2"]),
        (
            Executor(cores=7, gpus=4),
            share(2, 1),
            [
                "1 GPU idle because cores are missing: give executors 8 cores",
                "1 core idle, since 7 cores are no multiple of 2: set spark.executor.cores to a multiple, or "
                "resources.cpus: 1",
            ],
        ),
        (
            Executor(cores=2, gpus=2),
            share(1, HALF),
            [
                "1 GPU idle because cores are missing: set resources.tasks_per_gpu: 1 to use them all, or give "
                "executors 4 cores"
            ],
        ),
        (Executor(cores=2, gpus=4), share(1, 1), ["2 GPUs idle because cores are missing: give executors 4 cores"]),
        (
            Executor(cores=7),
            share(2),
            [
                "1 core idle, since 7 cores are no multiple of 2: set spark.executor.cores to a multiple, "
                "or resources.cpus: 1"
            ],
        ),
        (Executor(cores=4, gpus=1), share(1), ["1 GPU idle: no task asks for one; set resources.gpu: 1"]),
    ],
)
def test_what_stays_idle_is_told_with_the_setting_to_change(executor: Executor, wanted: Share, told: list[str]) -> None:
    assert list(describe_idle(count_slots((executor,), wanted), by_application=False)) == told


def test_where_the_applications_settings_decide_those_are_told() -> None:
    slots = count_slots((Executor(cores=8, gpus=2),), share(1, HALF))
    (told,) = describe_idle(slots, by_application=True)
    assert "spark.task.cpus=2" in told
    assert "spark.task.resource.gpu.amount=0.25" in told


@pytest.mark.parametrize("tasks", [1, 2, 3, 7, 49, 93, 99, 100, 1991])
def test_spark_comes_to_as_many_tasks_for_a_gpu_as_were_meant(tasks: int) -> None:
    amount = gpu_amount(Fraction(1, tasks))
    # ResourceProfile counts floor(1 / amount) tasks, and each takes (long) (amount * 1e16) of the GPU's 1e16 parts.
    assert math.floor(1 / amount) == tasks
    assert int(amount * 1e16) * tasks <= 10**16
    assert read_amount(repr(amount)) == Fraction(1, tasks)


def test_a_task_takes_what_resources_ask_for_else_what_the_application_gives() -> None:
    application = Application(task_cpus=2, task_gpus=HALF)
    assert share_of(application, ResourceOptions()) == share(2, HALF)
    assert share_of(application, ResourceOptions(gpu=1, tasks_per_gpu=4)) == share(2, QUARTER)
    assert share_of(application, ResourceOptions(gpu=2, cpus=1)) == share(1, 2)
    # A profile that names no GPU gets none.
    assert share_of(application, ResourceOptions(cpus=3)) == share(3)
