from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

PROGRAM = """
import json, os, sys
import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor
from threadpoolctl import threadpool_info
from spark_infer.models.threads import limit_threads
limit_threads(int(sys.argv[1]))
pools = {pool["user_api"]: pool["num_threads"] for pool in threadpool_info()}
print(json.dumps([pools, os.environ["OMP_NUM_THREADS"], os.environ["LOKY_MAX_CPU_COUNT"]]))
"""


@pytest.mark.parametrize("threads", [1, 2])
def test_libraries_that_are_loaded_and_those_that_come_are_bounded(threads: int) -> None:
    environ = {**os.environ, "OMP_NUM_THREADS": "3", "OPENBLAS_NUM_THREADS": "3"}
    command = [sys.executable, "-c", PROGRAM, str(threads)]
    done = subprocess.run(command, capture_output=True, text=True, env=environ, check=True)
    assert json.loads(done.stdout) == [{"blas": threads, "openmp": threads}, str(threads), str(threads)]
