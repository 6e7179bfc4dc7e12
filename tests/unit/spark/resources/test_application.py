from __future__ import annotations

from fractions import Fraction

import pytest

from spark_infer.spark.resources.application import Application, application_of, known_executors, read_amount

THIRD, QUARTER = Fraction(1, 3), Fraction(1, 4)


@pytest.mark.parametrize(
    ("amount", "gpus"), [("0", 0), ("0.25", QUARTER), ("0.3", THIRD), ("0.08", Fraction(1, 12)), ("0.6", 1), ("2", 2)]
)
def test_a_part_of_a_gpu_is_read_as_spark_counts_it(amount: str, gpus: Fraction) -> None:
    assert read_amount(amount) == gpus


@pytest.mark.parametrize(
    ("master", "manager", "executors"),
    [
        ("local", "local", [1]),
        ("local[2]", "local", [2]),
        ("local[2, 4]", "local", [2]),
        ("local[*]", "local", []),
        ("local-cluster[2,3,1024]", "local-cluster", [3, 3]),
        ("spark://host:7077", "standalone", []),
        ("yarn", "yarn", []),
        ("k8s://https://host", "kubernetes", []),
        ("", "unknown", []),
    ],
)
def test_the_master_tells_who_gives_executors_and_sometimes_which(
    master: str, manager: str, executors: list[int]
) -> None:
    application = Application(master=master)
    assert application.manager == manager
    assert [each.cores for each in known_executors(application)] == executors


def test_an_application_is_read_from_its_settings() -> None:
    settings = {
        "spark.master": "yarn",
        "spark.task.cpus": "2",
        "spark.task.resource.gpu.amount": "0.25",
        "spark.executor.cores": "8",
        "spark.executor.resource.gpu.amount": "2",
        "spark.dynamicAllocation.enabled": "true",
    }
    assert application_of(settings.get) == Application(
        master="yarn", task_cpus=2, task_gpus=QUARTER, executor_cores=8, executor_gpus=2, dynamic=True
    )


@pytest.mark.parametrize(
    ("master", "cores"),
    [
        ("yarn", 1),
        ("k8s://x", 1),
        ("spark://h:7077", None),
        ("local[2]", None),
        ("local-cluster[1,4,1024]", 4),
        ("", None),
    ],
)
def test_without_settings_an_executor_has_the_cores_that_its_manager_gives(master: str, cores: int | None) -> None:
    assert application_of({"spark.master": master}.get).executor_cores == cores
