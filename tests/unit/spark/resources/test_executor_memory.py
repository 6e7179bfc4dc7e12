"""What an executor has for Python processes, and in all, by its application's settings."""

from __future__ import annotations

import pytest

from spark_infer.runtime.memory import whole_memory_bytes
from spark_infer.spark.resources.application import application_of
from spark_infer.spark.resources.executor_memory import executor_memory

MB = 2**20


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"spark.master": "yarn"}, (384 * MB, 1408 * MB)),
        ({"spark.master": "yarn", "spark.executor.memory": "10g"}, (1024 * MB, 11264 * MB)),
        ({"spark.master": "k8s://x", "spark.executor.memory": "10g"}, (4096 * MB, 14336 * MB)),
        (
            {"spark.master": "yarn", "spark.executor.memory": "4g", "spark.executor.memoryOverhead": "2048"},
            (2048 * MB, 6144 * MB),
        ),
        (
            {"spark.master": "yarn", "spark.executor.memory": "10g", "spark.executor.memoryOverheadFactor": "0.5"},
            (5120 * MB, 15360 * MB),
        ),
        (
            {"spark.master": "yarn", "spark.executor.pyspark.memory": "3g", "spark.executor.memoryOverhead": "1g"},
            (None, 5120 * MB),
        ),
        ({"spark.master": "yarn", "spark.executor.memory": "much"}, (None, None)),
        ({"spark.master": "spark://h:7077"}, (None, None)),
        ({"spark.master": "local-cluster[1,2,1024]"}, (None, None)),
        ({"spark.master": "local[4]"}, (whole_memory_bytes(), whole_memory_bytes())),
        ({}, (None, None)),
    ],
)
def test_memory_is_known_where_something_bounds_it(
    settings: dict[str, str], expected: tuple[int | None, int | None]
) -> None:
    assert executor_memory(application_of(settings.get), settings.get) == tuple(
        None if each is None else pytest.approx(each, rel=1e-6) for each in expected
    )
