"""The server behind a Spark Connect session: what its Python has, asked before any task starts."""

from __future__ import annotations

import inspect
import json
import logging
import os
import re
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

import spark_infer
from spark_infer.errors import EnvironmentProblem
from spark_infer.spark.quiet import without_query_context
from spark_infer.spark.versions import HAS_TABLE_FUNCTION_ANALYSIS

logger = logging.getLogger(__name__)

_NEEDED = ("numpy", "pyarrow", "pydantic")
_OTHER_NAMES = {
    "callable": "pyarrow",
    "onnx": "onnxruntime",
    "pyfunc": "mlflow",
    "pytorch": "torch",
    "spark": "pyspark",
}
_MISMATCH = re.compile(r"PYTHON_VERSION_MISMATCH\W.*?version: ([\d.]+).*?driver: ([\d.]+)", re.DOTALL)


def is_connect(spark: SparkSession) -> bool:
    """Whether a session is a Spark Connect one, which has neither a `sparkContext` nor a JVM beside it."""
    return type(spark).__module__.startswith("pyspark.sql.connect")


def is_own_server(spark: SparkSession) -> bool:
    """Whether this process started the server: ``SparkSession.builder.remote("local[2]")``."""
    return is_connect(spark) and "SPARK_LOCAL_REMOTE" in os.environ  # pyspark's own mark


@dataclass(frozen=True)
class _ServerPython:
    """What the server's Python told.

    Attributes:
        executable: Its interpreter.
        package: The version of spark_infer that it would import; None where there is none.
        missing: The modules that it cannot find.
    """

    executable: str
    package: str | None
    missing: tuple[str, ...]


def require_server(spark: SparkSession, backend: str) -> None:
    """Refuse a Spark Connect server whose Python cannot run our workers; bring spark_infer along where it lacks it.

    The server runs a few lines of Python while it analyses a query: no task starts. Where it does not do that, nothing
    is refused here and the first task tells. Its executors are taken to have the Python that the server has.

    Args:
        spark: The session; a classic one is left alone.
        backend: What will serve the model.

    Raises:
        EnvironmentProblem: The server runs another Python, or lacks a library.
    """
    if not is_connect(spark):
        return
    needed = (*_NEEDED, _OTHER_NAMES.get(backend, backend))
    found = _ask(spark, needed)
    if found is not None and found.package != spark_infer.__version__:
        _send_package(spark)
        found = _ask(spark, needed)
    if found is None:
        return
    missing = [*found.missing] if found.package else ["spark_infer", *found.missing]
    if missing:
        raise EnvironmentProblem(
            f"The Python of the Spark Connect server has no {' and no '.join(missing)}.",
            details=[f"it is {found.executable}"],
            next_step="install the same packages as here for the server's Python workers.",
        )


def _ask(spark: SparkSession, modules: Sequence[str]) -> _ServerPython | None:
    if not HAS_TABLE_FUNCTION_ANALYSIS:
        return None
    try:
        with without_query_context():
            # A table function says its columns while the query is analysed: the answer travels as a column's metadata.
            asked: Any = F.udtf(_question(modules))
            facts = asked().schema.fields[0].metadata
    except PySparkException as error:
        mismatch = _MISMATCH.search(str(error))
        if mismatch is None:
            logger.info("The server does not tell about its Python: %s", type(error).__name__)
            return None
        raise EnvironmentProblem(
            f"The Spark Connect server runs Python {mismatch[1]}, and this is Python {mismatch[2]}.",
            details=["functions are pickled here and unpickled there, which needs the same minor version"],
            next_step=f"run this program with Python {mismatch[1]}, or let the server's PYSPARK_PYTHON name another.",
        ) from None
    return _ServerPython(facts["executable"], facts["package"] or None, tuple(json.loads(facts["missing"])))


def _question(modules: Sequence[str]) -> type:
    """Make the table function; it travels by value, since the server may not have this module."""

    class SparkInferAsks:
        @staticmethod
        def analyze() -> Any:
            import json
            import re
            import sys
            from importlib.util import find_spec

            from pyspark.sql.types import StringType, StructType
            from pyspark.sql.udtf import AnalyzeResult

            # Not imported: a worker that has imported one version would keep it.
            ours = find_spec("spark_infer")
            source = ours.loader.get_source("spark_infer") if ours and hasattr(ours.loader, "get_source") else ""  # type: ignore[union-attr]
            version = re.search(r'^__version__ = "([^"]+)"', source or "", re.MULTILINE)
            missing = [name for name in modules if find_spec(name) is None]
            facts = {
                "executable": sys.executable,
                "package": version[1] if version else "",
                "missing": json.dumps(missing),
            }
            return AnalyzeResult(StructType().add("answer", StringType(), True, facts))

        def eval(self) -> Any:
            yield ("",)

    return SparkInferAsks


def _send_package(spark: SparkSession) -> None:
    """Send our own package to the session's workers; whoever asks again sees whether it arrived."""
    root = Path(inspect.getfile(spark_infer)).parent
    with tempfile.TemporaryDirectory(prefix="spark_infer-") as folder:
        archive = Path(folder) / f"spark_infer-{spark_infer.__version__}.zip"
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as package:
            for file in sorted(root.rglob("*.py")):
                # A fixed date: the server refuses other bytes under the same name.
                name = zipfile.ZipInfo((Path(root.name) / file.relative_to(root)).as_posix())
                package.writestr(name, file.read_bytes())
        try:
            spark.addArtifacts(str(archive), pyfile=True)
        except Exception as error:  # gRPC's and PySpark's; the error that follows says what is missing
            logger.info("The server takes no Python files: %s", type(error).__name__)
        finally:
            # pyspark puts it on this process's path too, where it would outlive the file.
            sys.path[:] = [path for path in sys.path if path != str(archive)]
