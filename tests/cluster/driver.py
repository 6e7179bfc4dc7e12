"""What runs in the driver: a process of its own, whose one Spark session the tests of a module share.

pytest's own process has the session of `tests/spark`, and a process can have one only.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import Any, ParamSpec, TypeVar

from spark_infer.errors import SparkInferError

P = ParamSpec("P")
R = TypeVar("R")

_MOST_SECONDS = 200.0
_session: Any = None


class Driver:
    """Calls module-level functions in the driver; they take and return plain values, and find Spark by `spark`."""

    def __init__(self, conf: Mapping[str, str], environ: Mapping[str, str]) -> None:
        self._pool = ProcessPoolExecutor(1, get_context("spawn"), _start, (dict(conf), dict(environ)))

    def __call__(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a function there; what it raises is raised here."""
        return self._pool.submit(_call, partial(function, *args, **kwargs)).result(timeout=_MOST_SECONDS)

    def close(self) -> None:
        """Stop the session and the process."""
        self._pool.submit(_stop)
        self._pool.shutdown()


def spark() -> Any:
    """Return the session of this driver."""
    return _session


def _start(conf: dict[str, str], environ: dict[str, str]) -> None:
    global _session
    os.environ.update(environ)
    from pyspark.sql import SparkSession

    builder = SparkSession.Builder()
    for name, value in conf.items():
        builder = builder.config(name, value)
    _session = builder.getOrCreate()
    _session.sparkContext.setLogLevel("ERROR")


def _call(function: Callable[[], R]) -> R:
    try:
        return function()
    except SparkInferError:
        raise
    except Exception:  # Spark's own hold a gateway and do not pickle
        raise RuntimeError(traceback.format_exc()) from None


def _stop() -> None:
    _session.stop()
