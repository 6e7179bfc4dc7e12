"""Threads of a worker: as many as its task has cores, not as many as the node has."""

from __future__ import annotations

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
    "RAYON_NUM_THREADS",  # tokenizers
)


def thread_variables(threads: int) -> dict[str, str]:
    """Return the environment variables by which libraries, once they are loaded, use so many threads."""
    return dict.fromkeys(_VARIABLES, str(threads))


class ThreadLimits:
    """How many threads the libraries of a process may use.

    Args:
        environ: The environment of this process.
    """

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        self._environ = environ
        self._limited: int | None = None

    def set(self, threads: int, *, loaded: bool = True) -> None:
        """Bound OpenMP, BLAS, joblib and PyTorch in this process.

        The variables serve libraries that are loaded later and child processes; threadpoolctl reaches those that are
        loaded already, and PyTorch, which may have a pool of its own, is set by itself. Without threadpoolctl OpenMP
        and BLAS learn of it by the variables alone. ONNX Runtime takes its threads with each session: its backend gives
        them.

        Args:
            threads: How many.
            loaded: Whether libraries may have been loaded since the last call. Looking for them takes some
                milliseconds.
        """
        self._environ.update(thread_variables(threads))
        torch: Any = sys.modules.get("torch")
        if torch is not None:
            torch.set_num_threads(threads)
        if not loaded and threads == self._limited:
            return
        self._limited = threads
        try:
            from threadpoolctl import threadpool_limits
        except ImportError:
            return
        threadpool_limits(limits=threads)
