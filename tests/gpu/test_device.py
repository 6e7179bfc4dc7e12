"""What a process can tell about its CUDA, and a model in a process of its own; each in a fresh interpreter."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

STARTS = """
import json, sys
from spark_infer.runtime.device import cuda_has_started
import torch
before = cuda_has_started()
torch.zeros(1, device="cuda:0")
by_torch = cuda_has_started()
del sys.modules["torch"]
print(json.dumps([before, by_torch, cuda_has_started(), torch.cuda.device_count()]))
"""

HIDDEN = """
import os, sys, torch
from dataclasses import replace
from tests.unit.runtime.test_device import load_spec
from spark_infer.errors import DeviceError
from spark_infer.runtime.process_state import this_process
try:
    this_process().device.settle(load_spec("cuda:0"), seen=torch.cuda.is_available(), framework="torch")
except DeviceError as error:
    print(error.what)
"""

HOSTED = """
import json, os, subprocess, sys
from functools import partial
from pathlib import Path
import numpy as np, pyarrow as pa
from spark_infer.runtime.device import bind_address
from spark_infer.runtime.model_process import ModelProcess
from tests.unit.models.backends.native.specs import arrow, spec_of
from tests.unit.models.conformance.cases.pytorch import mlp
folder, address = Path(sys.argv[1]), sys.argv[2]
rows = arrow(mlp(folder))
bind_address(address, os.environ)

def on_gpu():
    query = ["nvidia-smi", "--query-compute-apps=pid", "--format=csv,noheader"]
    return len(subprocess.run(query, capture_output=True, text=True, check=True).stdout.split())

before = on_gpu()
spec = spec_of(folder, rows.schema, device="cuda:0")
from spark_infer.core.convert import project
from spark_infer.models.backends import load
hosted = ModelProcess(partial(load, spec, folder), threads=1, address=address)
found = hosted.predict(project(rows, spec.binding))
during = on_gpu()
hosted.close()
print(json.dumps([during - before, on_gpu() - before, sum(len(values) for values in found.values()), rows.num_rows]))
"""


def run(program: str, *arguments: str, **environ: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environ}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.splitlines()[-1]


@pytest.fixture(autouse=True)
def torch_on_gpu(address: str) -> None:
    torch = pytest.importorskip("torch")
    if torch.version.cuda is None:
        pytest.skip("torch is a build for the CPU")


def test_that_cuda_has_started_is_seen_with_torch_and_without(address: str) -> None:
    assert json.loads(run(STARTS, CUDA_VISIBLE_DEVICES=address)) == [False, True, True, 1]


def test_a_gpu_that_is_hidden_from_torch_is_an_error_that_says_so() -> None:
    assert run(HIDDEN, CUDA_VISIBLE_DEVICES="-1").startswith("torch does not see the GPU that was asked for")


def test_a_model_in_a_process_of_its_own_leaves_the_gpu_with_it(address: str, tmp_path: Path) -> None:
    during, after, values, rows = json.loads(run(HOSTED, str(tmp_path / "model"), address))
    # In a container nvidia-smi may list no process at all.
    assert (during in (0, 1), after) == (True, 0)
    assert values >= rows
