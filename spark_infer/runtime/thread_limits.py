"""Threads of a worker: as many as its task has cores, not as many as the node has."""

from __future__ import annotations

import os
import sys
from collections.abc import MutableMapping
from typing import Any

_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "LOKY_MAX_CPU_COUNT",
)


_limited: int | None = None
"""What the libraries that are loaded here were last told."""


def limit_threads(threads: int, environ: MutableMapping[str, str] = os.environ, *, loaded: bool = True) -> None:
    """Bound OpenMP, BLAS, joblib and PyTorch in this process.

    The variables serve libraries that are loaded later and child processes; threadpoolctl reaches those that are
    loaded already, and PyTorch, which may have a pool of its own, is set by itself. Without threadpoolctl OpenMP and
    BLAS hear of it by the variables alone. ONNX Runtime takes its threads with each session: its backend gives them.

    Args:
        threads: How many.
        environ: Where the variables go.
        loaded: Whether libraries may have been loaded since the last call. Looking for them takes some milliseconds.
    """
    global _limited
    for name in _VARIABLES:
        environ[name] = str(threads)
    torch: Any = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(threads)
    if not loaded and threads == _limited:
        return
    _limited = threads
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        return
    threadpool_limits(limits=threads)
