"""Threads of a worker: as many as its task has cores, not as many as the node has."""

from __future__ import annotations

import os
from collections.abc import MutableMapping

_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "LOKY_MAX_CPU_COUNT",
)


def limit_threads(threads: int, environ: MutableMapping[str, str] = os.environ) -> None:
    """Bound OpenMP, BLAS and joblib in this process.

    The variables serve libraries that are loaded later and child processes; threadpoolctl reaches those that are
    loaded already. Without threadpoolctl only the former happens.
    """
    for name in _VARIABLES:
        environ[name] = str(threads)
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        return
    threadpool_limits(limits=threads)
