"""Models of texts as ONNX graphs: the same tokens, answers within what is allowed, exported once."""

from __future__ import annotations

import importlib.util
import json
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
import transformers

from spark_infer.errors import DeviceError, EnvironmentProblem, ModelRefusedError
from spark_infer.models.backends import load
from tests.small_transformers import bert, classifier, save_embedder, texts, tokenizer
from tests.unit.models.compile.scoring import Scoring, batch_of, scoring_of

pytestmark = pytest.mark.filterwarnings("ignore")

ROWS = batch_of(pd.DataFrame({"text": ["", "a", "naïve 東京 🙂", *texts(57), "a text " * 100]}))
SHORT = ROWS.slice(0, 60)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Saves a model once."""
    folder = tmp_path_factory.mktemp("models")

    @cache
    def save(name: str) -> Path:
        if name == "embedder":
            return save_embedder(folder)
        pipelines: dict[str, Callable[[], Any]] = {
            "classifier": classifier,
            "fillings": lambda: transformers.pipeline(
                "fill-mask", model=bert("BertForMaskedLM"), tokenizer=tokenizer(), device="cpu"
            ),
        }
        mlflow.transformers.save_model(pipelines[name](), folder / name, pip_requirements=["transformers"])
        return folder / name

    return save


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One store for all tests: what one of them exported, the others find."""
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module", autouse=True)
def exports() -> Iterator[list[Any]]:
    """The inputs of each graph that PyTorch has exported for these tests."""
    made, export = list[Any](), torch.onnx.export

    def counted(*args: Any, **how: Any) -> Any:
        made.append(how["input_names"])
        return export(*args, **how)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.onnx, "export", counted)
        yield made


def scoring(model: Path, store: Path, **options: Any) -> Scoring:
    return scoring_of(model, ROWS.schema, store, inputs=("text",), **options)


def numbers(table: pa.Table) -> Any:
    return np.array(table.column("prediction").to_pylist())


@pytest.mark.parametrize(
    ("to", "least", "params"),
    [
        ("onnx", 0.99999, {"prompt_name": "query", "truncate_dim": 8, "normalize_embeddings": True}),
        ("int8", 0.98, {}),
    ],
)
def test_embeddings_are_those_of_the_library(
    to: str, least: float, params: Any, saved: Callable[[str], Path], store: Path
) -> None:
    held = scoring(saved("embedder"), store, compile={"to": to, "cosine": least}, params=params)
    recipe = held.compiled(ROWS)
    assert recipe.choice.backend == "compiled_texts"
    found, wanted = held.scored(recipe, ROWS), held.scored(held.recipe, ROWS)
    assert found.schema == wanted.schema
    a, b = numbers(found), numbers(wanted)
    assert a.shape == (61, params.get("truncate_dim", 32))
    cosines = (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    assert least <= cosines.min()
    assert recipe.parity is not None
    assert recipe.parity.found.cosine.size == pytest.approx(cosines.min(), abs=1e-6)
    said = f"to {to}, from sentence_transformers: 61 rows compared, least cosine similarity "
    assert str(recipe.parity).startswith(said)
    assert str(recipe.parity).endswith(f" in 'prediction' (at least {least:g})")
    alone = np.vstack([numbers(held.scored(recipe, ROWS.slice(row, 1))) for row in range(ROWS.num_rows)])
    depends_on_its_batch = bool(np.abs(a - alone).max() > 1e-5)
    model: Any = load(recipe.load, held.store.path(recipe.load.files(recipe.ref.digest)))
    assert model.by_row is (not depends_on_its_batch) is (to != "int8")


def test_texts_are_classified_as_by_the_pipeline(saved: Callable[[str], Path], store: Path) -> None:
    held = scoring(saved("classifier"), store, compile="int8")
    recipe = held.compiled(SHORT)
    found, wanted = held.scored(recipe, SHORT).to_pandas(), held.scored(held.recipe, SHORT).to_pandas()
    assert (found.label == wanted.label).mean() >= 0.98
    assert 0 < np.abs(found.score - wanted.score).max() <= 0.1
    assert "to int8, from transformers: 60 rows compared" in str(recipe.parity)


def test_a_classifier_has_the_scores_and_the_length_that_its_configuration_asks_for(
    saved: Callable[[str], Path], store: Path, tmp_path: Path
) -> None:
    config = {"function_to_apply": "sigmoid", "truncation": True}
    mlflow.transformers.save_model(
        classifier(), tmp_path / "model", model_config=config, pip_requirements=["transformers"]
    )
    held = scoring(tmp_path / "model", store)
    recipe = held.compiled(ROWS)
    found, wanted = held.scored(recipe, ROWS).to_pandas(), held.scored(held.recipe, ROWS).to_pandas()
    assert found.label.equals(wanted.label)
    np.testing.assert_allclose(found.score, wanted.score, atol=1e-5)


def test_what_agrees_less_than_stated_is_refused_with_the_figure(saved: Callable[[str], Path], store: Path) -> None:
    held = scoring(saved("embedder"), store, compile={"to": "int8", "cosine": 1})
    with pytest.raises(ModelRefusedError) as refused:
        held.compiled(ROWS)
    told = str(refused.value)
    assert "The int8 model does not answer as the original does: output 'prediction' has a cosine similarity of" in told
    assert "of the 61 rows compared" in told
    assert "compile: {to: int8, cosine: …}" in told
    held = scoring(saved("classifier"), store, compile={"to": "int8", "bound": 0})
    with pytest.raises(ModelRefusedError, match=r"output 'score' differs by \S+ in row \d+ of the 60 rows compared"):
        held.compiled(SHORT)


def test_a_second_run_exports_nothing(saved: Callable[[str], Path], store: Path, exports: list[Any]) -> None:
    first = scoring(saved("embedder"), store).compiled(ROWS)
    before = len(exports)
    again = scoring(saved("embedder"), store, compile={"to": "onnx", "cosine": 0.5}).compiled(SHORT)
    assert first.load.artefact == again.load.artefact
    assert len(exports) == before > 0


def test_a_pipeline_for_which_there_is_no_graph_is_refused_before_anything_is_exported(
    saved: Callable[[str], Path], store: Path
) -> None:
    held = scoring(saved("fillings"), store)
    masked = batch_of(pd.DataFrame({"text": [f"{text} [MASK]" for text in texts(4)]}))
    with pytest.raises(ModelRefusedError, match="text classification can be exported, and this is FillMaskPipeline"):
        held.compiled(masked)


def test_a_gpu_that_onnxruntime_does_not_see_is_an_error_or_the_cpu_where_that_will_do(
    saved: Callable[[str], Path], store: Path
) -> None:
    held = scoring(saved("embedder"), store, compile="int8")
    recipe = held.compiled(ROWS)
    folder = held.store.path(recipe.load.files(recipe.ref.digest))
    asked = replace(recipe.load, device="cuda:0", address="0")
    with pytest.raises(DeviceError, match="onnxruntime does not see the GPU"):
        load(asked, folder)
    model: Any = load(replace(asked, allow_cpu_fallback=True), folder)
    assert model.batch_cost == 4_096


def test_a_text_that_is_missing_is_a_bad_row_of_both_models(saved: Callable[[str], Path], store: Path) -> None:
    rows = batch_of(pd.DataFrame({"text": ["a", None, *texts(8)]}))
    held = scoring(saved("embedder"), store, compile="int8", on_error="null")
    recipe = held.compiled(rows)
    assert recipe.parity is not None
    assert recipe.parity.rows == 10
    found = held.scored(recipe, rows)
    assert [value is None for value in found.column("prediction").to_pylist()] == [False, True, *[False] * 8]
    held = scoring(saved("embedder"), store, compile="int8")
    with pytest.raises(ModelRefusedError, match="the model fails on rows of the table"):
        held.compiled(rows)


def test_a_library_that_is_missing_is_named(
    saved: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "onnxscript" else find(name, *rest)
    )
    with pytest.raises(EnvironmentProblem, match="`compile: int8` needs onnxscript") as missing:
        scoring(saved("embedder"), tmp_path / "store", compile="int8").compiled(ROWS)
    assert "compile" in str(missing.value)


def test_a_worker_needs_neither_pytorch_nor_the_library_of_the_model(
    saved: Callable[[str], Path], store: Path, tmp_path: Path
) -> None:
    held = scoring(saved("embedder"), store, compile="int8")
    recipe = held.compiled(ROWS)
    folder = held.store.path(recipe.load.files(recipe.ref.digest))
    (tmp_path / "recipe").write_bytes(pickle.dumps((recipe.load, ROWS)))
    script = (
        "import pickle, sys, json, pathlib\n"
        "from spark_infer.models.backends import load\n"
        "spec, rows = pickle.loads(pathlib.Path(sys.argv[1]).read_bytes())\n"
        "found = load(spec, pathlib.Path(sys.argv[2])).predict(rows)[None]\n"
        "heavy = ('torch', 'transformers', 'sentence_transformers', 'mlflow')\n"
        "print(json.dumps([found.shape[0], [name for name in heavy if name in sys.modules]]))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "recipe"), str(folder)], capture_output=True, check=True
    )
    assert json.loads(ran.stdout) == [61, []]
