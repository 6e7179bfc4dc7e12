"""Pipelines of transformers, made on the spot.

Bounds: pyfunc computes each row alone, the backend rows of a batch together, padded to the longest of them. Attention
and matrix products add up in another order then; a float32 has 24 bits, and softmax keeps most of them: 1e-5.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import transformers
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema

from tests.small_transformers import bert, classifier, gpt, texts, tokenizer
from tests.unit.models.conformance.case import Case

_TEXT = (("inputs", ("text",)),)


def saved(pipeline: Any, folder: Path, rows: pd.DataFrame, **how: Any) -> pd.DataFrame:
    mlflow.transformers.save_model(pipeline, folder, pip_requirements=["torch", "transformers"], **how)
    return rows


def frame(rows: int = 40) -> pd.DataFrame:
    return pd.DataFrame({"text": texts(rows)})


def of_kind(task: str, kind: str, labels: tuple[str, ...] = (), **how: Any) -> Callable[[Path], pd.DataFrame]:
    def save(folder: Path) -> pd.DataFrame:
        pipeline = transformers.pipeline(task, model=bert(kind, labels), tokenizer=tokenizer(), device="cpu")
        rows = frame()
        if task == "fill-mask":
            rows["text"] = [f"{text[:40]} [MASK] {text[40:]}" for text in rows["text"]]
        return saved(pipeline, folder, rows, **how)

    return save


def classified(folder: Path) -> pd.DataFrame:
    return saved(classifier(), folder, frame(60))


def pairs(folder: Path) -> pd.DataFrame:
    rows = pd.DataFrame({"text": texts(20, 40), "text_pair": texts(40, 40)[20:]})
    inputs = Schema([ColSpec("string", "text"), ColSpec("string", "text_pair")])
    outputs = Schema([ColSpec("string", "label"), ColSpec("double", "score")])
    return saved(classifier(), folder, rows, signature=ModelSignature(inputs, outputs))


def with_parameters(folder: Path) -> pd.DataFrame:
    signature = ModelSignature(
        Schema([ColSpec("string")]),
        Schema([ColSpec("string", "label"), ColSpec("double", "score")]),
        ParamSchema([ParamSpec("function_to_apply", "string", "softmax"), ParamSpec("truncation", "boolean", True)]),
    )
    rows = pd.DataFrame({"text": texts(20, 1_000)})  # longer than the model takes
    return saved(classifier(), folder, rows, signature=signature, model_config={"function_to_apply": "none"})


def generated(folder: Path) -> pd.DataFrame:
    pipeline = transformers.pipeline("text-generation", model=gpt(), tokenizer=tokenizer(), device="cpu")
    how = {"max_new_tokens": 6, "do_sample": False, "collapse_whitespace": True}
    return saved(pipeline, folder, frame(12), model_config=how, prompt_template="About {prompt} one says")


CASES = [
    Case(name="text classification", save=classified, backend="transformers", rtol=1e-5, options=_TEXT),
    Case(name="text classification of pairs", save=pairs, backend="transformers", rtol=1e-5),
    Case(
        name="text classification, its own parameters",
        save=with_parameters,
        backend="transformers",
        rtol=1e-5,
        options=_TEXT,
        params=(("function_to_apply", "sigmoid"),),
    ),
    Case(
        name="token classification",
        save=of_kind("token-classification", "BertForTokenClassification", ("B-X", "I-X", "B-Y")),
        backend="transformers",
        options=_TEXT,
    ),
    Case(
        name="token classification, words in groups",
        save=of_kind(
            "ner",
            "BertForTokenClassification",
            ("B-X", "I-X", "B-Y"),
            model_config={"aggregation_strategy": "simple"},
        ),
        backend="transformers",
        options=_TEXT,
    ),
    Case(name="fill mask", save=of_kind("fill-mask", "BertForMaskedLM"), backend="transformers", options=_TEXT),
    Case(name="text generation with a prompt template", save=generated, backend="transformers", options=_TEXT),
]
