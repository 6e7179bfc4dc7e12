"""PyTorch modules: pickled, TorchScript and exported.

Bounds: pyfunc and backend call the same module on one thread, but a matrix product over another number of rows may add
up in another order. A float32 has 24 bits, and a few of the last are lost again where terms nearly cancel: 1e-5.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import torch
from mlflow.models import infer_signature
from torch import nn

from tests.unit.models.conformance.case import Case

_RNG = np.random.default_rng(5)


class Doubled(nn.Module):
    """Adds its two tensors up."""

    def forward(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        return 2 * left + right


def frame(rows: int = 60) -> pd.DataFrame:
    return pd.DataFrame(_RNG.normal(size=(rows, 4)), columns=["a", "b", "c", "d"])


def tensor_rows(*shape: int, dtype: Any = np.float32) -> tuple[pd.DataFrame, Any]:
    """Return rows with one array column, and the array that MLflow makes of them."""
    values = _RNG.normal(scale=9, size=shape).astype(dtype)
    return pd.DataFrame({"values": list(values.reshape(len(values), -1))}), values


def answers(module: nn.Module, values: Any) -> Any:
    with torch.no_grad():
        return module.eval()(torch.from_numpy(values)).numpy()


def saved(module: nn.Module, folder: Path, given: Any, answered: Any, **how: Any) -> None:
    mlflow.pytorch.save_model(
        module,
        folder,
        signature=infer_signature(given, answered),
        pip_requirements=["torch"],
        **{"serialization_format": "pickle", **how},
    )


def mlp(folder: Path) -> Any:
    module = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 3))
    rows = frame()
    saved(module, folder, rows, pd.DataFrame(answers(module, rows.to_numpy(np.float32))))
    return rows


def numbers_of_all_kinds(folder: Path) -> Any:
    # 2**53 - 1 and 2**25 + 1 have no float32: they round as pandas rounds them, in one step.
    module = nn.Sequential(nn.Identity(), nn.Flatten())
    rows = pd.DataFrame(
        {
            "long": [2**53 - 1, 2**25 + 1, -7],
            "double": [0.1, np.nan, 1e300],
            "boolean": [True, False, True],
            "integer": np.array([1, 2, 3], np.int32),
        }
    )
    saved(module, folder, rows, pd.DataFrame(answers(module, rows.to_numpy(np.float32))))
    return rows


def with_dropout_and_batch_norm(folder: Path) -> Any:
    module = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 1))
    module(torch.randn(50, 4))
    rows = frame()
    answered = pd.DataFrame(answers(module, rows.to_numpy(np.float32)))
    saved(module.train(), folder, rows, answered)
    return rows


def convolution(folder: Path) -> Any:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    rows, values = tensor_rows(30, 3, 8, 8)
    saved(module, folder, values, answers(module, values))
    return rows


def scripted(folder: Path) -> Any:
    module = torch.jit.script(nn.Sequential(nn.Linear(6, 5), nn.Tanh()))
    rows, values = tensor_rows(40, 6)
    saved(module, folder, values, answers(module, values))
    return rows


def exported(folder: Path) -> Any:
    module = nn.Sequential(nn.Linear(6, 5), nn.GELU(), nn.Linear(5, 2)).eval()
    rows, values = tensor_rows(40, 6)
    saved(module, folder, values, answers(module, values), serialization_format="pt2", input_example=values[:2])
    return rows


def embedding(folder: Path) -> Any:
    module = nn.Sequential(nn.Embedding(10, 4), nn.Flatten(), nn.Linear(12, 1))
    values = _RNG.integers(0, 10, (40, 3))
    saved(module, folder, values, answers(module, values))
    return pd.DataFrame({"tokens": list(values)})


def doubles(folder: Path) -> Any:
    module = nn.Linear(4, 2).double()
    rows, values = tensor_rows(40, 4, dtype=np.float64)
    saved(module, folder, values, answers(module, values))
    return rows


ONE_ARRAY = (("inputs", ("values",)),)

CASES = [
    Case(name="MLP on columns", save=mlp, backend="pytorch", rtol=1e-5),
    Case(name="longs, doubles and truth values", save=numbers_of_all_kinds, backend="pytorch"),
    Case(name="dropout and batch norm", save=with_dropout_and_batch_norm, backend="pytorch", rtol=1e-5),
    Case(name="convolution", save=convolution, backend="pytorch", rtol=1e-5, options=ONE_ARRAY),
    Case(name="TorchScript", save=scripted, backend="pytorch", rtol=1e-5, options=ONE_ARRAY),
    Case(name="exported program", save=exported, backend="pytorch", rtol=1e-5, options=ONE_ARRAY),
    Case(name="embedding of longs", save=embedding, backend="pytorch", rtol=1e-5, options=(("inputs", ("tokens",)),)),
    Case(name="doubles", save=doubles, backend="pytorch", rtol=1e-14, options=ONE_ARRAY),
]
