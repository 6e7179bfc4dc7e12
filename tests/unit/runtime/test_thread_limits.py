from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np  # noqa: F401 - brings a BLAS
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from spark_infer.runtime.thread_limits import ThreadLimits

PROGRAM = """
import json, os, sys
from spark_infer.runtime.process_state import this_process
threads, torch_first = int(sys.argv[1]), sys.argv[2] == "first"
if torch_first:
    import torch
import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor
this_process().threads.set(threads)
import torch
from joblib import cpu_count
from threadpoolctl import threadpool_info
pools = {pool["user_api"]: pool["num_threads"] for pool in threadpool_info()}
print(json.dumps([pools, os.environ["OMP_NUM_THREADS"], cpu_count(), torch.get_num_threads()]))
"""


def test_libraries_are_told_again_where_some_may_be_new_or_the_number_is() -> None:
    def blas() -> set[int]:
        return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}

    limits = ThreadLimits({})
    limits.set(2)
    try:
        threadpool_limits(1)
        limits.set(2, loaded=False)
        assert blas() == {1}
        limits.set(2)
        assert blas() == {2}
        limits.set(1, loaded=False)
        assert blas() == {1}
    finally:
        limits.set(1)


@pytest.mark.parametrize(("threads", "torch"), [(1, "first"), pytest.param(2, "last", marks=pytest.mark.soak)])
def test_libraries_that_are_loaded_and_those_that_come_are_bounded(threads: int, torch: str) -> None:
    pytest.importorskip("torch")
    environ = {**os.environ, "OMP_NUM_THREADS": "3", "OPENBLAS_NUM_THREADS": "3"}
    command = [sys.executable, "-c", PROGRAM, str(threads), torch]
    done = subprocess.run(command, capture_output=True, text=True, env=environ, check=True)
    assert json.loads(done.stdout) == [{"blas": threads, "openmp": threads}, str(threads), threads, threads]
