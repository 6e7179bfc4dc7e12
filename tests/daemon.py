"""Spark's own daemon, which forks its Python workers, having imported what nearly every worker of these tests imports.

A worker imports for two seconds before its first batch, and the tests start hundreds. Those of tests/e2e start
as users' workers do.
"""

from __future__ import annotations

import gc
import os
from importlib.util import find_spec
from pathlib import Path

from pyspark.daemon import manager

ROOT = Path(__file__).parents[1]


def warm_up() -> None:
    """Import MLflow, scikit-learn and this package, and do once what scikit-learn does on the first call of a process.

    Where the workers are to find another version of the package (tests/connect), it is theirs to import.
    """
    import mlflow.pyfunc
    import pyspark.worker
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from tests.light_skops import import_skops

    assert all((mlflow.pyfunc, pyspark.worker))
    import_skops()
    found = find_spec("spark_infer")
    if found is not None and found.origin is not None and Path(found.origin).is_relative_to(ROOT):
        import spark_infer.engines.spark.direct
        import spark_infer.spark.udf

        assert spark_infer.spark.udf
    make_pipeline(StandardScaler(), LogisticRegression()).fit([[0.0], [1.0]], [0, 1]).predict([[0.0]])
    gc.collect()
    gc.freeze()  # or else each worker searches all of this for garbage


if __name__ == "__main__":
    # Spark has a daemon for its RDDs and one for SQL, where alone models predict.
    if "SPARK_SIMPLIFIED_TRACEBACK" in os.environ:
        warm_up()
    manager()
