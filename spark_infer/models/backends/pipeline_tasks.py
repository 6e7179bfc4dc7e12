"""What pipelines of transformers are given, and what of their answers is a prediction: one entry for each task.

MLflow's pyfunc is the reference (``_TransformersWrapper`` in mlflow/transformers/__init__.py). Where it looks at a
batch as a whole, an answer here is the one that it gives for the row alone; docs/deep-models.md has the differences.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from spark_infer.core.outputs import Predictions
from spark_infer.core.prediction_columns import ONLY_OUTPUT
from spark_infer.errors import InputValueError

Config = Mapping[str, Any]
"""Keyword arguments of a pipeline: the model's configuration and the inference parameters."""

_OURS = ("collapse_whitespace", "include_prompt")
"""Keys of a configuration that MLflow takes out before it asks the pipeline."""

_LABEL_AND_SCORE = pa.schema([("label", pa.string()), ("score", pa.float64())])
_TEXT = pa.schema([(ONLY_OUTPUT, pa.string())])


def for_pipeline(config: Config) -> dict[str, Any]:
    """Return the part of a configuration that is the pipeline's own."""
    return {name: value for name, value in config.items() if name not in _OURS}


def _ask(pipeline: Any, rows: list[Any], config: Config) -> Sequence[Any]:
    answers: Sequence[Any] = pipeline(rows, **config)
    return answers


@dataclass(frozen=True, kw_only=True)
class Task:
    """One task.

    Attributes:
        pipeline: The class that serves it; another one is an author's own.
        given: From a batch to what the pipeline is given for each row.
        ask: Has the pipeline answer, one answer for each of what it is given.
        read: From the answers to predictions.
        columns: What it returns.
        tokens: Whether a row is one sequence of tokens, so that rows can be batched by their lengths.
        by_row: Whether equal rows have equal answers; texts may be drawn at random.
        declarable: Whether a signature of MLflow can say what it returns for a row.
        forced: Keyword arguments that the pipeline always gets.
    """

    pipeline: str
    given: Callable[[pa.RecordBatch], list[Any]]
    read: Callable[[Sequence[Any], Config], Predictions]
    columns: pa.Schema
    ask: Callable[[Any, list[Any], Config], Sequence[Any]] = _ask
    tokens: bool = False
    by_row: bool = True
    declarable: bool = True
    forced: Config = field(default_factory=dict)


def task_of(flavor: Mapping[str, Any]) -> Task | None:
    """Return the task of a flavor's pipeline; None for one that has no entry here."""
    name = str(flavor.get("task", ""))
    return _TASKS.get(_ALIASES.get(name, name))


def _values(inputs: pa.RecordBatch) -> list[Any]:
    """The values of the first column, as MLflow takes them."""
    return without_null(inputs.schema.names[0], inputs.column(0))


def without_null(name: str, values: pa.Array) -> list[Any]:
    """Return the values of a column.

    Raises:
        InputValueError: One is null.
    """
    if values.null_count:
        raise InputValueError(
            f"Column {name!r} holds a null, and the pipeline takes none.",
            next_step="filter these rows with `where`, set them aside with on_error: quarantine, or fill them in a "
            "preprocess function.",
        )
    return list(values.to_pylist())


def _texts_or_pairs(inputs: pa.RecordBatch) -> list[Any]:
    if inputs.num_columns == 1:
        return _values(inputs)
    columns = [without_null(name, inputs.column(name)) for name in inputs.schema.names]
    return [dict(zip(inputs.schema.names, row, strict=True)) for row in zip(*columns, strict=True)]


def _sequences(inputs: pa.RecordBatch) -> list[Any]:
    """Text, labels and template of each row of a zero-shot classification."""
    texts, labels = (without_null(name, inputs.column(name)) for name in ("sequences", "candidate_labels"))
    template = "hypothesis_template"
    templates = inputs.column(template).to_pylist() if template in inputs.schema.names else [None] * len(texts)
    return list(zip(texts, map(_labels, labels), templates, strict=True))


def _ask_by_labels(pipeline: Any, rows: list[Any], config: Config) -> Sequence[Any]:
    """Ask for all texts that have the same labels and the same template at once."""
    answers: list[Any] = [None] * len(rows)
    alike: dict[Any, list[int]] = {}
    for index, (_, labels, template) in enumerate(rows):
        alike.setdefault((labels, template), []).append(index)
    for (labels, template), indices in alike.items():
        given = {**config, "candidate_labels": list(labels)}
        given |= {} if template is None else {"hypothesis_template": template}
        for index, answer in zip(indices, pipeline([rows[index][0] for index in indices], **given), strict=True):
            answers[index] = answer
    return answers


def _labels(value: Any) -> tuple[str, ...]:
    """Labels in a list, in the text of a JSON list, or between commas."""
    if isinstance(value, str):
        with suppress(json.JSONDecodeError):
            value = json.loads(value)
    if isinstance(value, str):
        value = [label.strip() for label in value.split(",") if label.strip()]
    if not isinstance(value, list) or any(type(label) not in (str, int, float) for label in value):
        raise InputValueError(
            "Column 'candidate_labels' holds JSON other than a list of texts.",
            next_step="""write labels between commas, or as a JSON list of texts: '["2024", "2025"]'.""",
        )
    return tuple(value)


def _images(inputs: pa.RecordBatch) -> list[Any]:
    """Paths, addresses and base64 as they are; the content of a file as base64, which the pipeline reads."""
    values = _values(inputs)
    return [base64.b64encode(value).decode() if isinstance(value, bytes) else value for value in values]


def _sounds(inputs: pa.RecordBatch) -> list[Any]:
    values = _values(inputs)
    return [
        _decoded(value) if isinstance(value, bytes) else np.asarray(value) if isinstance(value, list) else value
        for value in values
    ]


def _decoded(content: bytes) -> bytes:
    """The content of a file, which may be base64."""
    try:
        found = base64.b64decode(content)
        return found if base64.b64encode(found) == content else content
    except binascii.Error:
        return content


def _classes(answers: Sequence[Any], _config: Config) -> Predictions:
    """Label and score; one column for each rank where `top_k` asks for several."""
    if isinstance(answers[0], list):
        ranks: dict[str | None, list[Any]] = {
            str(rank): [row[rank] for row in answers] for rank in range(len(answers[0]))
        }
        return {**ranks, **_best_class(answers, _config)}
    return _labels_and_scores(answers)


def _best_class(answers: Sequence[Any], _config: Config) -> Predictions:
    return _labels_and_scores([row[0] for row in answers])


def _labels_and_scores(rows: Sequence[Any]) -> Predictions:
    return {"label": [row["label"] for row in rows], "score": np.array([row["score"] for row in rows], np.float64)}


def _entities(answers: Sequence[Any], _config: Config) -> Predictions:
    """The labels of a text's tokens or groups, between commas; empty for a text without any."""
    joined = [",".join(each["entity_group" if "entity_group" in each else "entity"] for each in row) for row in answers]
    return {None: [text.strip() for text in joined]}


def _fillings(answers: Sequence[Any], _config: Config) -> Predictions:
    """The likeliest token of each mask: a text for one, a list for several."""
    several = [isinstance(row[0], list) for row in answers]
    return {
        None: [
            [mask[0]["token_str"].strip() for mask in row] if many else row[0]["token_str"].strip()
            for row, many in zip(answers, several, strict=True)
        ]
    }


def _features(answers: Sequence[Any], _config: Config) -> Predictions:
    """One vector for each token of a row."""
    matrices = [np.asarray(row[0], np.float64) for row in answers]
    width = matrices[0].shape[-1]
    values = pa.array(np.concatenate([matrix.reshape(-1) for matrix in matrices]))
    vectors = pa.FixedSizeListArray.from_arrays(values, width).cast(pa.list_(pa.float64()))
    ends = np.cumsum([0, *(matrix.size // width for matrix in matrices)])
    return {None: pa.ListArray.from_arrays(pa.array(ends, pa.int32()), vectors)}


def _all_labels(answers: Sequence[Any], _config: Config) -> Predictions:
    return {name: [row[name] for row in answers] for name in ("sequence", "labels", "scores")}


def _generated(answers: Sequence[Any], config: Config) -> Predictions:
    def cleaned(text: str) -> str:
        return (re.sub(r"\s+", " ", text) if config.get("collapse_whitespace") else text).strip()

    rows = [[cleaned(each["generated_text"]) for each in row] for row in answers]
    return {None: [row[0] if len(row) == 1 else row for row in rows]}


def _transcripts(answers: Sequence[Any], config: Config) -> Predictions:
    if config.get("return_timestamps") in ("word", "char"):
        return {None: [json.dumps(row) for row in answers]}
    return {None: [row["text"].strip() for row in answers]}


_ALIASES = {"ner": "token-classification", "sentiment-analysis": "text-classification"}

_TASKS: Mapping[str, Task] = {
    "text-classification": Task(
        pipeline="TextClassificationPipeline",
        given=_texts_or_pairs,
        read=_classes,
        columns=_LABEL_AND_SCORE,
        tokens=True,
    ),
    "token-classification": Task(
        pipeline="TokenClassificationPipeline", given=_values, read=_entities, columns=_TEXT, tokens=True
    ),
    "fill-mask": Task(pipeline="FillMaskPipeline", given=_values, read=_fillings, columns=_TEXT, tokens=True),
    "feature-extraction": Task(
        pipeline="FeatureExtractionPipeline",
        given=_values,
        read=_features,
        columns=pa.schema([(ONLY_OUTPUT, pa.list_(pa.list_(pa.float64())))]),
        tokens=True,
        declarable=False,
        forced={"return_tensors": True},
    ),
    "zero-shot-classification": Task(
        pipeline="ZeroShotClassificationPipeline",
        given=_sequences,
        ask=_ask_by_labels,
        read=_all_labels,
        columns=pa.schema(
            [("sequence", pa.string()), ("labels", pa.list_(pa.string())), ("scores", pa.list_(pa.float64()))]
        ),
        declarable=False,
    ),
    "text-generation": Task(
        pipeline="TextGenerationPipeline", given=_values, read=_generated, columns=_TEXT, by_row=False
    ),
    "image-classification": Task(
        pipeline="ImageClassificationPipeline", given=_images, read=_best_class, columns=_LABEL_AND_SCORE
    ),
    "automatic-speech-recognition": Task(
        pipeline="AutomaticSpeechRecognitionPipeline", given=_sounds, read=_transcripts, columns=_TEXT, by_row=False
    ),
}
