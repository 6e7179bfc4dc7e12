"""Sentence embeddings of sentence-transformers: texts are tokenised once, and predicted in batches of like length.

Tokenisers, models and pooling are the library's own. Where it can be seen that the first module of a model is a
tokeniser and a transformer, a batch is padded here to its own longest text; all other models get texts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spark_infer.core.buckets import PreparedRows
from spark_infer.core.outputs import Predictions
from spark_infer.core.signature import Column, Param, Tensor
from spark_infer.errors import ConfigError, nearest
from spark_infer.models.backends.exportable import Exportable, embedding_graph, not_exportable
from spark_infer.models.backends.spec import LoadSpec
from spark_infer.models.backends.token_rows import padded
from spark_infer.models.backends.torch_device import prepare_torch, set_dtype

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer

    from spark_infer.config import ScoreOptions
    from spark_infer.models.mlmodel import MLModel

PARAMS = (
    Param(name="normalize_embeddings", type="boolean", default=False),
    Param(name="precision", type="string", default="float32"),
    Param(name="prompt", type="string", default=None),
    Param(name="prompt_name", type="string", default=None),
    Param(name="truncate_dim", type="integer", default=None),
)
"""Inference parameters that it takes of any model: those of `SentenceTransformer.encode` that change embeddings."""

_WITHOUT_EFFECT = {"batch_size": None, "show_progress_bar": None, "convert_to_numpy": True}
"""Further parameters of `encode`, with the value that changes no embedding; None for any."""
_PRECISIONS = {"float32": pa.float32(), "binary": pa.int8(), "ubinary": pa.int16()}
"""What an element of an embedding is; a table has no unsigned bytes."""

_TOKENS_ON_CPU, _TOKENS_ON_GPU = 4_096, 131_072
_TOKENIZED_AT_ONCE = 256


def unfit(mlmodel: MLModel, options: ScoreOptions, folder: Path) -> str | None:
    """Say why pyfunc must serve a model.

    Raises:
        ConfigError: The parameters name a prompt that the model does not have.
    """
    if options.predict_method not in (None, ("predict",)):
        return "a sentence-transformers model has the method 'predict' alone"
    if (mlmodel.pyfunc or {}).get("config"):
        return "it was logged for a task, and answers in the form of that"
    signature = mlmodel.signature
    inputs = signature.inputs if signature is not None else ()
    if len(inputs) != 1 or not isinstance(inputs[0], Column) or inputs[0].type != pa.string():
        return "its signature is not that of one column of texts"
    for name, value in _asked(mlmodel, options.params).items():
        if name in _WITHOUT_EFFECT and _WITHOUT_EFFECT[name] in (None, value):
            continue
        if name not in {param.name for param in PARAMS}:
            return f"its signature has the inference parameter {name!r}"
        if name == "precision" and value not in _PRECISIONS:
            return f"{value} embeddings depend on the range of their whole batch"
    _check_prompt(_asked(mlmodel, options.params).get("prompt_name"), folder / _data(mlmodel))
    return None


def declared_outputs(mlmodel: MLModel, params: Mapping[str, Any]) -> pa.Schema | None:
    """Return the embeddings as the signature declares them, one array for each text.

    MLflow's own signature of this flavor, and one inferred from a single text, speak of one dimension, which would be
    one number for each text.
    """
    declared = mlmodel.signature.outputs if mlmodel.signature is not None else ()
    if len(declared) != 1 or not isinstance(declared[0], Tensor):
        return None
    element = pa.float64() if declared[0].value_type == pa.float64() else pa.float32()
    element = element if params.get("precision", "float32") == "float32" else _PRECISIONS[params["precision"]]
    return pa.schema([(declared[0].name or "prediction", pa.list_(element))])


def load(spec: LoadSpec, folder: Path) -> Embedder:
    """Load a model; nothing is looked for on a hub.

    Raises:
        DeviceError: A GPU was asked for, and torch does not see it.
    """
    device = prepare_torch(spec)
    from sentence_transformers import SentenceTransformer

    # MLflow trusts the code in the model's folder too; what a model may run was decided before (`models.trust`).
    model = SentenceTransformer(
        str(folder / _data(spec.mlmodel)), device=device, local_files_only=True, trust_remote_code=True
    )
    set_dtype(model, spec.dtype)
    return Embedder(model, _asked(spec.mlmodel, spec.params), device)


class Embedder:
    """A loaded model, which embeds texts in batches of like length.

    Attributes:
        batch_cost: The most tokens of a batch, padding included.
        by_row: Whether the embedding of a text is its own, but for the last digits, which depend on its batch.
        how: How texts reach the model, for the plan.
    """

    def __init__(self, model: SentenceTransformer, params: Mapping[str, Any], device: str) -> None:
        self.batch_cost = _TOKENS_ON_CPU if device == "cpu" else _TOKENS_ON_GPU
        self._model: SentenceTransformer | None = model.eval()
        self._device = device
        self._prompt = _prompt(model, params)
        self._normalize = bool(params.get("normalize_embeddings"))
        self._truncate: int | None = params.get("truncate_dim") or model.truncate_dim
        self._precision: Literal["float32", "binary", "ubinary"] = params.get("precision") or "float32"
        self._same, self._padding = _tokenised(model, self._prompt)
        # Padding on the left moves the tokens of a text, and with them the positions that many models add.
        self._alike = getattr(getattr(model, "tokenizer", None), "padding_side", "right") == "left"
        self.by_row = self._padding is not None or not self._alike
        self.how = _how(tokenised=self._padding is not None, alike=self._alike)

    def outputs(self) -> pa.Schema | None:
        """One array for each text."""
        return pa.schema([("prediction", pa.list_(_PRECISIONS[self._precision]))])

    def prepare(self, inputs: pa.RecordBatch) -> PreparedRows:
        """Tokenise texts; where the model does not show how, they stay texts, and their letters are counted."""
        (texts,) = (column.to_pylist() for column in inputs.columns)
        if any(text is None for text in texts):
            raise TypeError("a text is null")
        if self._padding is None:
            sizes = np.array([len(text) for text in texts], np.int64)
            return PreparedRows(pa.RecordBatch.from_arrays(inputs.columns, ["text"]), np.maximum(sizes, 1))
        pieces = [
            self._tokens(texts[start : start + _TOKENIZED_AT_ONCE])
            for start in range(0, len(texts), _TOKENIZED_AT_ONCE)
        ]
        tokens = pa.concat_batches(pieces)
        return PreparedRows(tokens, np.maximum(np.diff(tokens.column(0).offsets.to_numpy()).astype(np.int64), 1))

    def predict_prepared(self, rows: pa.RecordBatch) -> Predictions:
        """Embed one model batch; where padding would change embeddings, texts of one length at a time."""
        if self._padding is None or not self._alike or not rows.num_rows:
            return {None: self._embedded(rows)}
        sizes = np.diff(rows.column(0).offsets.to_numpy())
        groups = [np.flatnonzero(sizes == size) for size in np.unique(sizes)]
        found = np.concatenate([self._embedded(rows.take(pa.array(group))) for group in groups])
        return {None: found[np.argsort(np.concatenate(groups))]}

    def _embedded(self, rows: pa.RecordBatch) -> npt.NDArray[Any]:
        import torch
        from sentence_transformers.util import batch_to_device, truncate_embeddings

        assert self._model is not None
        features = self._texts(rows) if self._padding is None else self._padded(rows, self._padding)
        with torch.inference_mode():
            found = self._model(batch_to_device(features, self._model.device))["sentence_embedding"]
            if self._truncate is not None:
                found = truncate_embeddings(found, self._truncate)
            if self._normalize:
                found = torch.nn.functional.normalize(found, p=2, dim=1)
            found = found.cpu()
        return self._quantized(found)

    def predict(self, inputs: pa.RecordBatch) -> Predictions:
        """Embed texts as one batch."""
        return self.predict_prepared(self.prepare(inputs).inputs)

    def exportable(self) -> Exportable:
        """Return what can be compiled of the model.

        Raises:
            ModelRefusedError: It is no tokeniser and transformer alone, or its embeddings are not floating numbers.
        """
        assert self._model is not None
        if self._padding is None or self._alike or self._precision != "float32":
            why = (
                f"its embeddings are {self._precision}" if self._padding is not None else "it tokenises in its own way"
            )
            raise not_exportable("it pads on the left" if self._alike else why)
        module = embedding_graph(
            self._model, self._same, list(self._padding), truncate=self._truncate, normalize=self._normalize
        )
        return Exportable(
            module=module,
            tokenizer=self._model.tokenizer,
            inputs=(*self._padding, "attention_mask"),
            prompt=self._prompt or "",
        )

    def close(self) -> None:
        """Let go of the model, and of its memory on the device."""
        import torch

        self._model = None
        if self._device != "cpu":
            torch.cuda.empty_cache()

    def _tokens(self, texts: list[str]) -> pa.RecordBatch:
        assert self._model is not None
        assert self._padding is not None
        features = self._model.preprocess(texts, prompt=self._prompt)
        mask = features["attention_mask"].bool()
        offsets = pa.array(np.concatenate([[0], mask.sum(dim=1).cumsum(dim=0).numpy()]).astype(np.int32))
        arrays = [pa.array(features[name][mask].numpy().astype(np.int32)) for name in self._padding]
        return pa.RecordBatch.from_arrays(
            [pa.ListArray.from_arrays(offsets, array) for array in arrays], [*self._padding]
        )

    def _padded(self, rows: pa.RecordBatch, padding: Mapping[str, int]) -> dict[str, Any]:
        import torch

        return {**self._same, **{name: torch.from_numpy(each) for name, each in padded(rows, padding).items()}}

    def _texts(self, rows: pa.RecordBatch) -> dict[str, Any]:
        assert self._model is not None
        return dict(self._model.preprocess(rows.column(0).to_pylist(), prompt=self._prompt))

    def _quantized(self, found: torch.Tensor) -> npt.NDArray[Any]:
        from sentence_transformers.util.quantization import quantize_embeddings

        values: npt.NDArray[Any] = found.float().numpy()
        return values if self._precision == "float32" else np.asarray(quantize_embeddings(values, self._precision))


def _data(mlmodel: MLModel) -> str:
    return str((mlmodel.pyfunc or {}).get("data") or "model.sentence_transformer")


def _asked(mlmodel: MLModel, params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters to embed with: those given, over the signature's defaults."""
    declared = mlmodel.signature.params if mlmodel.signature is not None else ()
    return {**{param.name: param.default for param in declared}, **params}


def _check_prompt(name: Any, data: Path) -> None:
    if name is None:
        return
    path = data / "config_sentence_transformers.json"
    prompts = json.loads(path.read_text(encoding="utf-8")).get("prompts") if path.is_file() else None
    if name not in (prompts or {}):
        raise ConfigError(
            f"params.prompt_name is not a prompt of the model{nearest(str(name), prompts or {})}.",
            next_step=f"its prompts are {sorted(prompts)}." if prompts else "it has none; `prompt` takes a text.",
        )


def _prompt(model: SentenceTransformer, params: Mapping[str, Any]) -> str | None:
    if params.get("prompt") is not None:
        return str(params["prompt"])
    name = params.get("prompt_name") or model.default_prompt_name
    return None if name is None else model.prompts.get(name)


def _how(*, tokenised: bool, alike: bool) -> str:
    if tokenised:
        length = "one length, since it pads on the left" if alike else "like length"
        return f"texts are tokenised once and embedded in batches of {length}, no MLflow"
    if not alike:
        return "texts are embedded in batches of like length, as the library tokenises them, no MLflow"
    return "texts are embedded as the library pads them, on the left, where the texts beside one may count; no MLflow"


def _tokenised(model: SentenceTransformer, prompt: str | None) -> tuple[dict[str, Any], dict[str, int] | None]:
    """See what the model makes of two texts.

    Returns:
        What it makes of any texts, such as the length of the prompt; and which features are tokens, with the value that
        fills a batch up. None for these where it is another kind of model.
    """
    features = dict(model.preprocess(["a", "a longer text, which is padded or cut"], prompt=prompt))
    mask, tokens = features.pop("attention_mask", None), features.get("input_ids")
    padding = getattr(getattr(model, "tokenizer", None), "pad_token_id", None)
    if padding is None or mask is None or tokens is None or mask.ndim != 2 or mask.shape != tokens.shape:
        return {}, None
    fillers = dict.fromkeys((name for name, each in features.items() if getattr(each, "shape", None) == mask.shape), 0)
    same = {name: each for name, each in features.items() if name not in fillers}
    if not set(fillers) <= {"input_ids", "token_type_ids"} or not set(same) <= {"modality", "prompt_length"}:
        return {}, None
    return same, {**fillers, "input_ids": int(padding)}
