"""One tiny task before scoring: can a worker import what the model needs?

Where the workers run on this machine with this interpreter, the driver's own checks have answered that.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import spark_infer
from spark_infer.errors import EnvironmentProblem
from spark_infer.models.requirements import Requirement, refuse, requirements
from spark_infer.spark.environment import probe_python
from spark_infer.spark.exceptions import translated
from spark_infer.spark.ship import workers_are_here

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import SparkSession

    from spark_infer.models.recipe import Recipe

_OURS = (Requirement("numpy", "numpy"), Requirement("pydantic", "pydantic"), Requirement("yaml", "pyyaml"))


def check_local_python(spark: SparkSession, recipe: Recipe) -> None:
    """Ask the interpreter of workers on this machine, where it is not the driver's own; starts no Spark task.

    Raises:
        EnvironmentProblem: It lacks a library.
    """
    named = _workers_python(spark) if workers_are_here(spark) else None
    if named is None:
        return
    python = shutil.which(named) or named
    if os.path.dirname(python) == os.path.dirname(sys.executable):
        return
    needed = (*_OURS, *requirements(recipe.ref.mlmodel, recipe.load.backend))
    probed = probe_python(python, modules=("spark_infer", *(each.module for each in needed)))
    if probed is not None:
        _refuse_missing(probed[1], needed, {}, f"the Python of Spark's workers ({python})")


def _workers_python(spark: SparkSession) -> str | None:
    """Interpreter of the workers; None on Spark Connect, whose server is asked elsewhere."""
    try:
        return str(spark.sparkContext.pythonExec)
    except Exception:  # Spark Connect has no sparkContext, and says so with an error of its own
        return None


def check_workers(spark: SparkSession, recipe: Recipe) -> None:
    """Ask one worker of a cluster, in one task.

    Raises:
        EnvironmentProblem: It lacks a library, has one that is too old, or another version of spark_infer.
    """
    if workers_are_here(spark):
        return
    needed = (*_OURS, *requirements(recipe.ref.mlmodel, recipe.load.backend))
    look = _look([each.module for each in needed], [each.distribution for each in needed])
    with translated():
        (row,) = spark.range(0, 1, 1, 1).mapInArrow(look, "found string").collect()
    found: dict[str, Any] = json.loads(row["found"])
    where = f"the Python of Spark's workers ({found.get('python')})"
    _refuse_missing(found.get("missing", []), needed, found.get("versions", {}), where)
    if found.get("spark_infer") != spark_infer.__version__:
        raise EnvironmentProblem(
            f"Spark's workers have spark_infer {found.get('spark_infer')}, and the driver has "
            f"{spark_infer.__version__}.",
            next_step="install the same version in both, or send it along with --py-files or --archives.",
        )


def _refuse_missing(
    missing: Sequence[str], needed: Sequence[Requirement], versions: dict[str, str], where: str
) -> None:
    package = Requirement("spark_infer", "spark-infer", spark_infer.__version__)
    needed = (package, *needed)
    absent = [each for each in needed if each.module in missing]
    refuse(needed, absent=absent, installed=versions, where=where)


def _look(modules: list[str], distributions: list[str]) -> Callable[[Iterator[pa.RecordBatch]], Any]:
    def look(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        # Nested, so that it travels by value: a worker without spark_infer could not even unpickle it else.
        import importlib
        import importlib.util
        import json
        import sys
        from importlib import metadata

        import pyarrow as pa

        for _ in batches:
            pass
        found: dict[str, Any] = {"python": sys.executable, "versions": {}, "spark_infer": None}
        found["missing"] = [name for name in ("spark_infer", *modules) if importlib.util.find_spec(name) is None]
        if "spark_infer" not in found["missing"]:
            found["spark_infer"] = importlib.import_module("spark_infer").__version__
        for name in distributions:
            try:
                found["versions"][name] = metadata.version(name)
            except metadata.PackageNotFoundError:
                continue
        yield pa.RecordBatch.from_pydict({"found": [json.dumps(found)]})

    return look
