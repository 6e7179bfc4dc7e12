"""PyTorch models that compute with sixteen bits: judged like any compiled model, loaded from the model's own files."""

from __future__ import annotations

from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema, TensorSpec

from spark_infer.errors import ModelRefusedError
from tests.small_transformers import classifier, save_embedder, texts
from tests.unit.models.compile.scoring import batch_of, scoring_of

pytestmark = pytest.mark.filterwarnings("ignore")

TEXTS = batch_of(pd.DataFrame({"text": texts(40)}))
NUMBERS = batch_of(pd.DataFrame(np.random.default_rng(0).normal(size=(40, 3)), columns=["a", "b", "c"]))


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network for three numbers."""
    folder = tmp_path_factory.mktemp("network") / "model"
    torch.manual_seed(0)
    layers = torch.nn.Sequential(torch.nn.Linear(3, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1))
    signature = ModelSignature(
        Schema([ColSpec("double", name) for name in "abc"]), Schema([TensorSpec(np.dtype("float32"), (-1, 1))])
    )
    how = {"signature": signature, "pip_requirements": ["torch"], "serialization_format": "pickle"}
    mlflow.pytorch.save_model(layers, folder, **how)
    return folder


@pytest.mark.parametrize(("to", "digits"), [("bfloat16", 8), ("float16", 11)])
def test_embedder_classifier_and_network_answer_with_as_many_digits_as_their_numbers_have(
    to: str, digits: int, network: Path, tmp_path: Path
) -> None:
    mlflow.transformers.save_model(classifier(), tmp_path / "classifier", pip_requirements=["transformers"])
    cases: list[tuple[Path, pa.RecordBatch]] = [
        (save_embedder(tmp_path / "embedder"), TEXTS),
        (tmp_path / "classifier", TEXTS),
        (network, NUMBERS),
    ]
    for model, rows in cases:
        inputs = {"inputs": ("text",)} if rows is TEXTS else {}
        held = scoring_of(model, rows.schema, tmp_path / "store", compile=to, **inputs)
        recipe = held.compiled(rows)
        assert recipe.choice.backend == held.recipe.choice.backend
        assert recipe.choice.reason == f"{recipe.choice.backend} compiled to {to}, as asked for"
        assert recipe.load.artefact is None
        found, wanted = held.scored(recipe, rows), held.scored(held.recipe, rows)
        assert found.schema == wanted.schema
        column = "score" if "score" in wanted.column_names else "prediction"
        a, b = (np.array(table.column(column).to_pylist()) for table in (found, wanted))
        # Some roundings of each product add up; answers are at most about 1.
        assert 0 < np.abs(a - b).max() < 2 ** (4 - digits)


def test_numbers_of_sixteen_bits_that_agree_less_than_stated_are_refused(network: Path, tmp_path: Path) -> None:
    held = scoring_of(network, NUMBERS.schema, tmp_path / "store", compile={"to": "bfloat16", "bound": 1e-6})
    with pytest.raises(
        ModelRefusedError, match=r"The bfloat16 model does not answer as .* differs by \S+ in row"
    ) as it:
        held.compiled(NUMBERS)
    assert "compile: {to: bfloat16, bound: …}" in str(it.value)


def test_int8_takes_no_network_of_numbers(network: Path, tmp_path: Path) -> None:
    held = scoring_of(network, NUMBERS.schema, tmp_path / "store", compile="int8")
    with pytest.raises(
        ModelRefusedError, match="takes models of sentence_transformers, transformers; this one is serv"
    ):
        held.compiled(NUMBERS)
