"""The examples of the public names that need no Spark, and of the functions below them."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

import spark_infer
from tests.docstrings import examples, failures

ROOT = Path(__file__).parents[2]
WITHOUT_SPARK = (
    "CompileOptions",
    "JobConfig",
    "PlanError",
    "ResourceOptions",
    "RunError",
    "SparkConfig",
    "SparkInferError",
    "delta_conf",
)
MODULES = [
    "config.addresses",
    "config.aggregate",
    "config.compile",
    "config.decode",
    "config.expect",
    "config.features",
    "config.incremental",
    "config.isolation",
    "config.quarantined",
    "config.retry",
    "config.load",
    "config.secret_names",
    "config.secrets",
    "core.exception_text",
    "core.signature",
    "core.value_check",
    "models.registry.uri",
    "printable",
    "tables.files.table_snapshot",
    "tables.paths",
]


@pytest.mark.parametrize("name", WITHOUT_SPARK)
def test_the_example_gives_what_it_shows(name: str) -> None:
    thing = getattr(spark_infer, name)
    assert examples(thing)
    assert failures(thing, {name: thing, "ScoringJob": spark_infer.ScoringJob}) == ""


@pytest.mark.parametrize("module", MODULES)
def test_the_examples_of_a_module_give_what_they_show(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    thing = import_module(f"spark_infer.{module}")
    assert examples(thing)
    assert failures(thing, dict(vars(thing))) == ""


def test_no_example_is_left_out() -> None:
    folder = ROOT / "spark_infer"
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*.py") if ">>> " in path.read_text()}
    homes = {spark_infer._HOMES[name].removeprefix("spark_infer.") for name in spark_infer.__all__}
    parts = (
        "config.job",
        "config.resources",
        "config.score",
        "config.spark",
        "errors.plan",
        "errors.error",
        "errors.run",
    )
    run = {name.replace(".", "/") for name in (*MODULES, *homes, *parts)}
    # That module imports PySpark; `tests/spark/test_docstrings.py` runs it.
    assert {name.removesuffix(".py").removesuffix("/__init__") for name in found} - run == {"spark/schema"}
    assert not [path for path in folder.rglob("*.py") if "doctest: +SKIP" in path.read_text()]
