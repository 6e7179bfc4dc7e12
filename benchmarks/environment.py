"""The environment of every process of a benchmark: the same cores, one thread for each library."""

from __future__ import annotations

import os
import sys
from pathlib import Path

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "ARROW_NUM_THREADS")


def set_environment(*, cores: int, work: Path) -> None:
    """Pin this process and all it will start to the first `cores` cores, one thread for each library.

    To be called before numpy, pyspark or mlflow are imported: they read some of this only once.
    """
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    repository = str(Path(__file__).parents[1])
    os.environ.update(
        dict.fromkeys(THREADS, "1"),
        MLFLOW_DISABLE_TELEMETRY="true",
        PYSPARK_PYTHON=sys.executable,
        PYTHONPATH=os.pathsep.join(filter(None, [repository, os.environ.get("PYTHONPATH")])),
        SPARK_INFER_HOME=str(work / "spark_infer"),
    )
