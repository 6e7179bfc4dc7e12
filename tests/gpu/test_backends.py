"""The conformance suite's models on a GPU: the backends that can use one, against themselves on the CPU.

Bounds: a GPU adds up in another order, and PyTorch's convolutions round their inputs to TF32, which keeps 10 bits of a
float32's 23: 2e-3 of the value, and 1e-3 where terms cancel.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from spark_infer.config import ResourceOptions, ScoreOptions
from spark_infer.models.backends import load
from spark_infer.models.files.store import ModelStore
from spark_infer.models.recipe import make_recipe
from spark_infer.models.registry.resolve import resolve
from spark_infer.models.worker import score_table_batches
from spark_infer.runtime.assignment import Assignment
from spark_infer.runtime.process_state import this_process
from tests.unit.models.conformance import cases
from tests.unit.models.conformance.case import Case

pytestmark = pytest.mark.filterwarnings("ignore")

RTOL, ATOL = 2e-3, 1e-3
FRAMEWORKS = {"onnx": "onnxruntime", "pytorch": "torch", "transformers": "transformers", "xgboost": "xgboost"}


def cases_of(flavor: str) -> list[Case]:
    pytest.importorskip(FRAMEWORKS[flavor])
    found: list[Case] = importlib.import_module(f"{cases.__name__}.{flavor}").CASES
    return [case for case in found if case.backend == flavor]


def close(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, list):
        return len(found) == len(wanted) and all(map(close, found, wanted))
    if isinstance(wanted, dict):
        return found.keys() == wanted.keys() and all(close(found[name], wanted[name]) for name in wanted)
    if isinstance(wanted, float):
        both_nan = math.isnan(wanted) and math.isnan(found)
        return both_nan or math.isclose(found, wanted, rel_tol=RTOL, abs_tol=ATOL)
    return bool(found == wanted)


def scored(case: Case, model: Path, rows: Any, store: ModelStore, place: Assignment) -> pa.Table:
    batch = pa.RecordBatch.from_pandas(rows.reset_index(drop=True), preserve_index=False)
    ref = resolve(str(model), tracking_uri=None, registry_uri=None, store=store)
    files = store.path(ref.digest)
    options = ScoreOptions(**dict(case.options), params=dict(case.params))
    recipe = make_recipe(
        ref, batch.schema, options, folder=files, load_model=lambda spec: load(spec, files), keep=(),
        result_schema=case.returns,
    )  # fmt: skip
    pieces: Iterator[pa.RecordBatch] = iter([batch.slice(0, 20), batch.slice(20)])
    return pa.Table.from_batches(score_table_batches(recipe, lambda: files, pieces, place))


@pytest.mark.parametrize("flavor", FRAMEWORKS)
def test_a_backend_answers_on_the_gpu_as_on_the_cpu(flavor: str, address: str, tmp_path: Path) -> None:
    store = ModelStore(tmp_path / "store")
    wrong = []
    for number, case in enumerate(cases_of(flavor)):
        model = tmp_path / str(number) / "model"
        model.parent.mkdir()
        rows = case.save(model)
        on_cpu = scored(case, model, rows, store, Assignment())
        place = Assignment(addresses=(address,), resources=ResourceOptions(gpu=1))
        on_gpu = scored(case, model, rows, store, place)
        same = all(close(on_gpu[name].to_pylist(), on_cpu[name].to_pylist()) for name in on_cpu.column_names)
        wrong += [] if same and on_gpu.schema == on_cpu.schema else [case.name]
    this_process().models.clear()
    assert wrong == []
    assert this_process().device.fallbacks == 0


def test_pytorch_gives_the_memory_of_the_gpu_back_when_a_model_is_closed(address: str, tmp_path: Path) -> None:
    case = cases_of("pytorch")[0]
    rows = case.save(tmp_path / "model")
    place = Assignment(addresses=(address,), resources=ResourceOptions(gpu=1))
    scored(case, tmp_path / "model", rows, ModelStore(tmp_path / "store"), place)
    import torch

    assert torch.cuda.memory_allocated() > 0
    this_process().models.clear()
    assert torch.cuda.memory_allocated() == 0
