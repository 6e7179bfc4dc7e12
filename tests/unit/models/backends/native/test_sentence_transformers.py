from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from spark_infer.config import ScoreOptions
from spark_infer.core.signature import Column, Param, Signature, Tensor
from spark_infer.errors import ConfigError
from spark_infer.models.backends.choose_backend import choose
from spark_infer.models.backends.native import declared_outputs, params_of
from spark_infer.models.backends.native.sentence_transformers import Embedder, unfit
from spark_infer.models.mlmodel import MLModel
from spark_infer.models.params import resolve_params

TEXT = Column(name="text", type=pa.string())
NAME = "sentence_transformers"


def mlmodel(*inputs: Column | Tensor, params: tuple[Param, ...] = (), **pyfunc: Any) -> MLModel:
    embedding = Tensor(name=None, dtype="float32", shape=(-1, 384))
    settings = {"loader_module": f"mlflow.{NAME}", "data": "model.sentence_transformer", **pyfunc}
    signature = Signature(inputs=inputs or (TEXT,), outputs=(embedding,), params=params)
    return MLModel(flavors={"python_function": settings, NAME: {}}, signature=signature)


def test_a_column_of_texts_is_served_and_what_else_a_model_may_take_is_not(tmp_path: Path) -> None:
    options = ScoreOptions()
    assert unfit(mlmodel(), options, tmp_path) is None
    assert unfit(mlmodel(TEXT, TEXT), options, tmp_path) == "its signature is not that of one column of texts"
    assert "one column of texts" in str(unfit(MLModel(flavors={NAME: {}}), options, tmp_path))
    assert "logged for a task" in str(unfit(mlmodel(config={"task": "llm/v1/embeddings"}), options, tmp_path))


def test_parameters_that_change_an_embedding_in_another_way_go_through_pyfunc(tmp_path: Path) -> None:
    def why(name: str, default: Any, **given: Any) -> str | None:
        model = mlmodel(params=(Param(name=name, type="string", default=default),))
        return unfit(model, ScoreOptions(params=given), tmp_path)

    assert why("output_value", "token_embeddings") == "its signature has the inference parameter 'output_value'"
    assert why("precision", "float32", precision="int8") == "int8 embeddings depend on the range of their whole batch"
    assert why("batch_size", 8) is None
    assert "convert_to_numpy" in str(why("convert_to_numpy", False))


def test_it_takes_the_parameters_of_encode_that_no_signature_declares(tmp_path: Path) -> None:
    asked = ScoreOptions(params={"truncate_dim": 64, "normalize_embeddings": True})
    assert choose(mlmodel(), asked, tmp_path).backend == NAME
    found = resolve_params(mlmodel().signature, asked.params, of_backend=params_of(NAME))
    assert found == {"truncate_dim": 64, "normalize_embeddings": True}
    with pytest.raises(ConfigError, match="do not fit") as refused:
        resolve_params(None, {"truncate_dim": "64", "normalize_embedings": True}, of_backend=params_of(NAME))
    assert refused.value.details == (
        "params.normalize_embedings is not a parameter of the model (did you mean 'normalize_embeddings'?)",
        "params.truncate_dim must be integer, got text",
    )


def test_a_prompt_that_the_model_does_not_have_is_refused_before_it_is_loaded(tmp_path: Path) -> None:
    asked = ScoreOptions(params={"prompt_name": "qury"})
    with pytest.raises(ConfigError, match="is not a prompt of the model"):
        unfit(mlmodel(), asked, tmp_path)
    (tmp_path / "model.sentence_transformer").mkdir()
    config = tmp_path / "model.sentence_transformer" / "config_sentence_transformers.json"
    config.write_text(json.dumps({"prompts": {"query": "query: "}}))
    with pytest.raises(ConfigError, match=r"did you mean 'query'\?"):
        unfit(mlmodel(), asked, tmp_path)
    assert unfit(mlmodel(), ScoreOptions(params={"prompt_name": "query"}), tmp_path) is None


def test_embeddings_are_arrays_of_what_was_asked_for() -> None:
    def kind(model: MLModel, **params: Any) -> pa.DataType:
        found = declared_outputs(NAME, model, params)
        assert found is not None
        return found.field("prediction").type

    assert kind(mlmodel()) == pa.list_(pa.float32())
    assert kind(mlmodel(), precision="binary") == pa.list_(pa.int8())
    assert kind(mlmodel(), precision="ubinary") == pa.list_(pa.int16())
    of_one_text = Signature(inputs=(TEXT,), outputs=(Tensor(name=None, dtype="float32", shape=(-1,)),))
    assert kind(MLModel(flavors={NAME: {}}, signature=of_one_text)) == pa.list_(pa.float32())
    assert declared_outputs(NAME, MLModel(flavors={NAME: {}}), {}) is None


class PaddingOn:
    """As much of a model as an embedder looks at, whose texts are padded on one side."""

    truncate_dim = default_prompt_name = None

    def __init__(self, side: str, features: str = "input_ids") -> None:
        self.tokenizer = SimpleNamespace(pad_token_id=0, padding_side=side)
        self._features = features

    def eval(self) -> Any:
        return self

    def preprocess(self, texts: list[str], prompt: str | None) -> dict[str, Any]:
        return {name: np.ones((len(texts), 3)) for name in ("input_ids", self._features, "attention_mask")}


def test_texts_that_padding_would_change_are_embedded_beside_those_of_their_length(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    together: list[list[int]] = []

    def embedded(_model: Embedder, rows: pa.RecordBatch) -> Any:
        tokens = rows.column("input_ids").to_pylist()
        together.append([len(row) for row in tokens])
        return np.array([[row[0]] for row in tokens])

    monkeypatch.setattr(Embedder, "_embedded", embedded)
    rows = pa.record_batch({"input_ids": [[1, 9], [2], [3, 9], [4, 9, 9], [5]]})
    for side, lengths in (("left", [[1, 1], [2, 2], [3]]), ("right", [[2, 1, 2, 3, 1]])):
        together.clear()
        model = Embedder(PaddingOn(side), {}, "cpu")
        found = model.predict_prepared(rows)[None]
        assert np.asarray(found).tolist() == [[1], [2], [3], [4], [5]]
        assert together == lengths
        assert model.by_row
        assert ("one length" in model.how) is (side == "left")
    assert not Embedder(PaddingOn("left", "position_ids"), {}, "cpu").by_row
