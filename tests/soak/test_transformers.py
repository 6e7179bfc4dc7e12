"""The transformers flavor, which takes a minute to import and to save: a small model made here, without the hub."""

from __future__ import annotations

import importlib
import warnings
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mlflow.models import infer_signature

import spark_infer

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "bad", "film", "good", "the"]
TEXTS = ["a good film", "the bad film", "good", "film film film", "a", "unknown word", "", "bad bad"]


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline that classifies texts, with random weights."""
    folder = tmp_path_factory.mktemp("transformers")
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.setenv("HF_HUB_OFFLINE", "1")
        warnings.simplefilter("ignore")
        import torch

        transformers: Any = importlib.import_module("transformers")  # whose types take mypy as long again
        (folder / "vocab.txt").write_text("\n".join(WORDS))
        torch.manual_seed(0)
        sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
        config = transformers.BertConfig(vocab_size=len(WORDS), max_position_embeddings=32, **sizes)
        pipeline = transformers.pipeline(
            "text-classification",
            model=transformers.BertForSequenceClassification(config).eval(),
            tokenizer=transformers.BertTokenizer(str(folder / "vocab.txt")),
        )
        outputs = pd.DataFrame({"label": ["LABEL_0"], "score": [0.5]})
        mlflow.transformers.save_model(
            pipeline,
            str(folder / "model"),
            signature=infer_signature(TEXTS, outputs),
            pip_requirements=["transformers", "torch"],
        )
    return folder / "model"


@pytest.mark.soak
@pytest.mark.filterwarnings("ignore")
def test_a_pipeline_answers_as_its_pyfunc_does(
    classifier: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    expected = mlflow.pyfunc.load_model(str(classifier)).predict(TEXTS)
    assert len(set(expected["score"])) > 2
    (tmp_path / "in").mkdir()
    rows = pa.table({"id": list(range(len(TEXTS))), "text": TEXTS})
    for number in range(2):
        pq.write_table(rows.slice(number * 4, 4), tmp_path / "in" / f"{number}.parquet")
    spark_infer.score_table(
        source=str(tmp_path / "in"),
        target={"path": str(tmp_path / "out"), "format": "parquet", "keep": ["id"]},
        model=str(classifier),
        engine="local",
        inputs=["text"],
        batch_size=3,
    )
    scored = pq.read_table(tmp_path / "out").sort_by("id")
    assert scored["id"].to_pylist() == list(range(len(TEXTS)))
    assert scored["label"].to_pylist() == expected["label"].tolist()
    assert scored["score"].to_pylist() == pytest.approx(expected["score"].tolist(), rel=1e-5)
