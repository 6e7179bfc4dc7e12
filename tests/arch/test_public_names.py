"""What `spark_infer` offers is exactly what it says it offers."""

from __future__ import annotations

import importlib.metadata

import spark_infer


def test_all_is_sorted_and_holds_each_name_once() -> None:
    assert list(spark_infer.__all__) == sorted(set(spark_infer.__all__))


def test_each_name_in_all_can_be_imported() -> None:
    for name in spark_infer.__all__:
        assert getattr(spark_infer, name) is not None


def test_dir_shows_the_names_in_all_and_no_others() -> None:
    assert [name for name in dir(spark_infer) if name != "__version__"] == spark_infer.__all__


def test_the_version_is_that_of_the_distribution() -> None:
    assert spark_infer.__version__ == importlib.metadata.version("spark-infer")
