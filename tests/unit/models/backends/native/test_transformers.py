"""What the conformance suite cannot ask: rows that pyfunc answers only alone, batches, bad rows, what is refused."""

from __future__ import annotations

import base64
import io
import json
import socket
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import transformers
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema
from mlflow.types.schema import Array

from spark_infer.config import ScoreOptions
from spark_infer.core.buckets import predict_in_buckets
from spark_infer.core.convert import project
from spark_infer.core.memory_ceiling import MemoryCeiling
from spark_infer.core.outputs import to_batch
from spark_infer.core.stats import Stats
from spark_infer.errors import ModelRefusedError
from spark_infer.models.backends import load
from spark_infer.models.backends.choose_backend import choose
from spark_infer.models.backends.pipeline_fit import left_to_pyfunc
from spark_infer.models.files.store import ModelStore
from spark_infer.models.mlmodel import read_mlmodel
from spark_infer.models.recipe import make_recipe
from spark_infer.models.registry.resolve import resolve
from spark_infer.models.worker import score_table_batches
from spark_infer.runtime.assignment import Assignment
from spark_infer.runtime.output_capture import captured_output
from tests.small_transformers import bert, classifier, texts, tokenizer, vit, wav2vec
from tests.unit.models.backends.native.specs import arrow, spec_of
from tests.unit.models.conformance.same import differences

pytestmark = pytest.mark.filterwarnings("ignore")


def save(folder: Path, pipeline: Any, **how: Any) -> Path:
    mlflow.transformers.save_model(pipeline, folder, pip_requirements=["torch", "transformers"], **how)
    return folder


def opened(folder: Path, rows: pd.DataFrame, **options: Any) -> tuple[Any, pa.RecordBatch]:
    """Load a model, and give it the inputs that a job would."""
    batch = arrow(rows)
    spec = spec_of(folder, batch.schema, **options)
    assert spec.backend == "transformers"
    return load(spec, folder), project(batch, spec.binding)


def alone(folder: Path, rows: pd.DataFrame) -> list[Any]:
    """What pyfunc answers for each row by itself."""
    model = mlflow.pyfunc.load_model(str(folder))
    return [model.predict(rows.iloc[[row]]) for row in range(len(rows))]


@pytest.fixture(scope="module")
def classifying(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("classifier") / "model", classifier())


def test_features_are_those_of_each_row_alone_without_its_padding(tmp_path: Path) -> None:
    made = transformers.pipeline("feature-extraction", model=bert("BertModel"), tokenizer=tokenizer(), device="cpu")
    folder, rows = save(tmp_path / "model", made), pd.DataFrame({"text": texts(6)})
    model, inputs = opened(folder, rows, inputs=("text",))
    wanted = [answer.tolist() for answer in alone(folder, rows)]
    assert len(set(map(len, wanted))) > 1  # of several lengths
    assert differences(model.predict(inputs)[None].to_pylist(), wanted, 1e-3, 1e-5) == []
    assert model.outputs() == pa.schema([("prediction", pa.list_(pa.list_(pa.float64())))])


def test_labels_of_a_zero_shot_classification_are_those_of_each_row_alone(tmp_path: Path) -> None:
    judge = bert("BertForSequenceClassification", ("entailment", "neutral", "contradiction"))
    made = transformers.pipeline("zero-shot-classification", model=judge, tokenizer=tokenizer(), device="cpu")
    labels = [json.dumps(["time", "path"]), json.dumps(["log"]), json.dumps(["time", "path"])]
    rows = pd.DataFrame(
        {"sequences": texts(3, 40), "candidate_labels": labels, "hypothesis_template": ["About {}."] * 3}
    )
    folder = save(tmp_path / "model", made)
    model, inputs = opened(folder, rows)
    found, wanted = model.predict(inputs), alone(folder, rows)
    assert found["sequence"] == rows["sequences"].tolist()
    assert found["labels"] == [answer["labels"].tolist() for answer in wanted]
    assert differences(found["scores"], [answer["scores"].tolist() for answer in wanted], 1e-5) == []


def pictures() -> list[bytes]:
    from PIL import Image
    from sklearn.datasets import load_digits

    files = []
    for digit in load_digits().images[:6]:
        file = io.BytesIO()
        Image.fromarray((digit * 15).astype(np.uint8)).convert("RGB").save(file, "PNG")
        files.append(file.getvalue())
    return files


def best_of(answer: pd.DataFrame) -> tuple[str, float]:
    """The first rank of pyfunc's answer for one image, which is a column for each rank."""
    return (answer.iloc[0, 0]["label"], answer.iloc[0, 0]["score"])


@pytest.mark.parametrize("kind", ["base64", "path", "bytes"])
def test_an_image_has_the_class_that_pyfunc_gives_it_alone(kind: str, tmp_path: Path) -> None:
    network, processor = vit()
    made = transformers.pipeline("image-classification", model=network, image_processor=processor, device="cpu")
    inputs = Schema([ColSpec("binary" if kind == "bytes" else "string")])
    outputs = Schema([ColSpec("string", "label"), ColSpec("double", "score")])
    folder, files = save(tmp_path / "model", made, signature=ModelSignature(inputs, outputs)), pictures()
    wanted = [
        best_of(answer)
        for answer in alone(save(tmp_path / "texts", made), pd.DataFrame({"image": list(map(as_text, files))}))
    ]
    for number, file in enumerate(files):
        (tmp_path / f"{number}.png").write_bytes(file)
    paths = [str(tmp_path / f"{number}.png") for number in range(len(files))]
    given = {"base64": list(map(as_text, files)), "path": paths, "bytes": files}[kind]
    model, rows = opened(folder, pd.DataFrame({"image": given}), inputs=("image",))
    found = model.predict(rows)
    assert found["label"] == [label for label, _ in wanted]
    assert np.allclose(found["score"], [score for _, score in wanted], rtol=1e-6)


def as_text(file: bytes) -> str:
    return base64.b64encode(file).decode()


def test_speech_becomes_the_text_that_pyfunc_hears(tmp_path: Path) -> None:
    network, prepare, letters = wav2vec(tmp_path)
    made = transformers.pipeline(
        "automatic-speech-recognition", model=network, feature_extractor=prepare, tokenizer=letters, device="cpu"
    )
    signature = ModelSignature(Schema([ColSpec(Array(DataType.float), "sound")]), Schema([ColSpec("string")]))
    folder = save(tmp_path / "model", made, signature=signature)
    moments = np.arange(4_000, dtype=np.float32)
    rows = pd.DataFrame({"sound": [np.sin(moments[:length] / 7) for length in (4_000, 2_500)]})
    model, inputs = opened(folder, rows)
    assert model.predict(inputs)[None] == mlflow.pyfunc.load_model(str(folder)).predict(rows)


def test_ranks_are_columns_as_in_pyfunc(tmp_path: Path) -> None:
    folder, rows = save(tmp_path / "model", classifier(), model_config={"top_k": 2}), pd.DataFrame({"text": texts(5)})
    model, inputs = opened(folder, rows, inputs=("text",))
    found, wanted = model.predict(inputs), mlflow.pyfunc.load_model(str(folder)).predict(rows)
    for rank in ("0", "1"):
        assert differences(found[rank], wanted[int(rank)].tolist(), 1e-5) == []
    assert found["label"] == [row["label"] for row in found["0"]]


def test_texts_are_tokenised_once_and_computed_in_batches_of_like_length(classifying: Path) -> None:
    rows = pd.DataFrame({"text": texts(40)})
    model, inputs = opened(classifying, rows, inputs=("text",))
    prepared = model.prepare(inputs)
    assert prepared.sizes.tolist() == [len(tokenizer()(text)["input_ids"]) for text in rows["text"]]
    stats = Stats()
    schema = pa.schema([("label", pa.string()), ("score", pa.float64())])
    answered = predict_in_buckets(
        prepared,
        lambda some: to_batch(model.predict_prepared(some), schema, some.num_rows),
        batch_cost=200,
        most_rows=None,
        ceiling=MemoryCeiling(),
        stats=stats,
    )
    wanted = mlflow.pyfunc.load_model(str(classifying)).predict(rows)
    assert answered.column("label").to_pylist() == wanted["label"].tolist()
    assert np.allclose(answered.column("score"), wanted["score"], rtol=1e-5)
    assert stats.tokens == prepared.sizes.sum()
    assert stats.computed_tokens < 0.7 * len(rows) * prepared.sizes.max()


@pytest.mark.parametrize(
    ("change", "how"),
    [
        ({}, "padded to their own longest row"),
        ({"padding_side": "left"}, "rows of one length"),
        ({"model_input_names": ("input_ids",)}, "rows of one length"),
        ({"pad_token": None}, "one row at a time"),
    ],
)
def test_rows_are_padded_only_where_that_changes_no_answer(change: dict[str, Any], how: str, tmp_path: Path) -> None:
    network, own = classifier().model, tokenizer(**change)
    made = transformers.pipeline("text-classification", model=network, tokenizer=own, device="cpu")
    folder, rows = save(tmp_path / "model", made), pd.DataFrame({"text": texts(12)})
    model, inputs = opened(folder, rows, inputs=("text",))
    assert how in model.how
    wanted = mlflow.pyfunc.load_model(str(folder)).predict(rows)
    assert np.allclose(model.predict(inputs)["score"], wanted["score"], rtol=1e-5)


def scored(folder: Path, texts: list[str | None], store: Path, **options: Any) -> pa.Table:
    """Score texts as a job does."""
    rows = pa.table({"text": texts})
    ref = resolve(str(folder), tracking_uri=None, registry_uri=None, store=ModelStore(store))
    files = ModelStore(store).path(ref.digest)
    given = ScoreOptions(inputs=("text",), **options)
    recipe = make_recipe(ref, rows.schema, given, folder=files, load_model=lambda spec: load(spec, files))
    assert recipe.choice.backend == "transformers"
    return pa.Table.from_batches(score_table_batches(recipe, lambda: files, iter(rows.to_batches()), Assignment()))


TOO_LONG = "a text of many words " * 40


def test_only_the_rows_that_the_model_fails_for_are_bad(classifying: Path, tmp_path: Path) -> None:
    answers = scored(classifying, [*texts(20), None, TOO_LONG, *texts(5)], tmp_path, on_error="null")
    errors = answers["prediction_error"].to_pylist()
    assert [index for index, error in enumerate(errors) if error] == [20, 21]
    assert errors[20]["error_class"] == "InputValueError"
    assert answers["label"].null_count == 2


def test_the_configuration_of_a_job_replaces_that_of_the_model(tmp_path: Path) -> None:
    folder = save(tmp_path / "model", classifier(), model_config={"truncation": False, "max_length": 16})
    answers = scored(folder, [TOO_LONG, texts(1)[0]], tmp_path / "store", pyfunc_config={"truncation": True})
    own = mlflow.pyfunc.load_model(str(folder), model_config={"truncation": True})
    wanted = own.predict(pd.DataFrame({"text": [TOO_LONG, texts(1)[0]]}))
    assert np.allclose(answers["score"], wanted["score"], rtol=1e-5)


def test_loading_and_predicting_ask_nobody_and_write_nothing_on_the_screen(
    classifying: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda *place, **_: asked.append(place))
    monkeypatch.setattr(socket.socket, "connect", lambda _, place: asked.append(place))
    capfd.readouterr()
    with captured_output():
        model, inputs = opened(classifying, pd.DataFrame({"text": ["too long " * 90, *texts(5)]}), inputs=("text",))
        model.predict(inputs.slice(1))
        with pytest.raises(RuntimeError, match="size"):
            model.predict(inputs)  # the library warns before it fails
    assert asked == []
    assert capfd.readouterr() == ("", "")


SETTINGS = {
    "task": "text-classification",
    "instance_type": "TextClassificationPipeline",
    "model_binary": "model",
    "components": ["tokenizer"],
}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"task": "sentiment-analysis"}, None),
        ({"inference_task": "llm/v1/chat"}, "MLflow's task 'llm/v1/chat'"),
        ({"peft_adaptor": "peft"}, "PEFT"),
        ({"processor_type": "WhisperProcessor"}, "with a processor"),
        ({"model_binary": None}, "outside its folder"),
        ({"instance_type": "OwnPipeline"}, "its pipeline is OwnPipeline"),
        ({"components": ["../secret"]}, "none of transformers'"),
        ({"task": "translation_en_to_de"}, "transformers 5 has no pipeline for translation_en_to_de"),
        ({"task": "depth-estimation"}, "no native way for the task 'depth-estimation'"),
    ],
)
def test_pyfunc_serves_what_only_it_knows(change: dict[str, Any], reason: str | None, tmp_path: Path) -> None:
    flavor = {name: value for name, value in {**SETTINGS, **change}.items() if value is not None}
    found = left_to_pyfunc(flavor, tmp_path)
    assert found is None if reason is None else reason in str(found)


def test_a_model_with_code_of_its_own_is_left_to_pyfunc_and_no_code_runs(tmp_path: Path) -> None:
    folder = save(tmp_path / "model", classifier())
    config = folder / "model" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "auto_map": {"AutoModel": "own.Own"}}))
    (folder / "model" / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    mlmodel = read_mlmodel(folder)
    chosen = choose(mlmodel, ScoreOptions(), folder)
    assert (chosen.backend, chosen.reason) == (
        "pyfunc",
        "it brings code of its own, which model/config.json names",
    )
    ref = resolve(str(folder), tracking_uri=None, registry_uri=None, store=ModelStore(tmp_path / "store"))
    options = ScoreOptions(inputs=("text",), trust="digests", digests=("0" * 64,))
    with pytest.raises(ModelRefusedError, match="not among"):
        make_recipe(
            ref, pa.schema([("text", pa.string())]), options, folder=folder, load_model=lambda spec: load(spec, folder)
        )
    assert not (tmp_path / "ran").exists()
