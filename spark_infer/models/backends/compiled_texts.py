"""A model of texts that was compiled on the driver: its tokeniser, and an ONNX graph in onnxruntime.

Its folder holds `model.onnx`, `tokenizer.json` and `texts.json`; neither PyTorch nor the model's own library is needed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from spark_infer.core.buckets import PreparedRows
from spark_infer.core.outputs import Predictions
from spark_infer.models.backends.native.onnx import open_session
from spark_infer.models.backends.pipeline_tasks import without_null
from spark_infer.models.backends.spec import LoadSpec
from spark_infer.models.backends.token_rows import padded

if TYPE_CHECKING:
    from onnxruntime import InferenceSession
    from tokenizers import Tokenizer

GRAPH = "model.onnx"
TOKENIZER = "tokenizer.json"
FACTS = "texts.json"

_TOKENS_ON_CPU, _TOKENS_ON_GPU = 4_096, 131_072
_MASK, _TOKENS, _TYPES = "attention_mask", "input_ids", "token_type_ids"
KNOWN_INPUTS = (_TOKENS, _TYPES, _MASK)
"""Inputs that a graph may have, all of shape (rows, tokens)."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What `texts.json` says.

    Attributes:
        inputs: Inputs of the graph.
        padding: What fills the tokens of a row up.
        prompt: What goes before each text.
        labels: The label of each score that the graph returns; None where it returns embeddings.
        by_row: Whether the answer for a text is its own, but for the last digits.
    """

    inputs: tuple[str, ...]
    padding: int
    by_row: bool
    prompt: str = ""
    labels: tuple[str, ...] | None = None

    def write(self, folder: Path) -> None:
        """Write the file."""
        (folder / FACTS).write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Facts:
        """Read the file."""
        saved = json.loads((folder / FACTS).read_bytes())
        labels = saved["labels"]
        return cls(
            inputs=tuple(saved["inputs"]),
            padding=saved["padding"],
            by_row=saved["by_row"],
            prompt=saved["prompt"],
            labels=None if labels is None else tuple(labels),
        )


def load(spec: LoadSpec, folder: Path) -> CompiledTexts:
    """Open a session on a compiled model of texts.

    Raises:
        DeviceError: A GPU was asked for, and onnxruntime does not see it.
    """
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
    tokenizer.no_padding()
    return CompiledTexts(open_session(folder / GRAPH, {}, spec), tokenizer, Facts.read(folder))


class CompiledTexts:
    """A session fed with tokens, in batches of similar lengths.

    Attributes:
        batch_cost: The most tokens of a batch, padding included.
        by_row: Whether the answer for a text is its own, but for the last digits, which depend on its batch.
        how: How texts reach the session, for the plan.
    """

    how = "texts are tokenised once and run in batches of like length, no PyTorch"

    def __init__(self, session: InferenceSession, tokenizer: Tokenizer, facts: Facts) -> None:
        on_gpu = session.get_providers()[0] != "CPUExecutionProvider"
        self.batch_cost = _TOKENS_ON_GPU if on_gpu else _TOKENS_ON_CPU
        self._session: InferenceSession | None = session
        self._tokenizer = tokenizer
        self.by_row = facts.by_row
        self._facts = facts

    def outputs(self) -> pa.Schema | None:
        """None: the outputs are the original's."""
        return None

    def prepare(self, inputs: pa.RecordBatch) -> PreparedRows:
        """Tokenise texts."""
        texts = [self._facts.prompt + text for text in without_null(inputs.schema.names[0], inputs.column(0))]
        encoded = self._tokenizer.encode_batch_fast(texts)
        sizes = np.array([len(each.ids) for each in encoded], np.int64)
        offsets = pa.array(np.concatenate([[0], np.cumsum(sizes)]), pa.int32())
        parts = {_TOKENS: [each.ids for each in encoded]}
        if _TYPES in self._facts.inputs:
            parts[_TYPES] = [each.type_ids for each in encoded]
        columns = {
            name: pa.ListArray.from_arrays(offsets, pa.array(np.concatenate([*rows, []]).astype(np.int32)))
            for name, rows in parts.items()
        }
        return PreparedRows(pa.RecordBatch.from_pydict(columns), np.maximum(sizes, 1))

    def predict_prepared(self, rows: pa.RecordBatch) -> Predictions:
        """Run the graph for one batch, padded to its longest text."""
        assert self._session is not None
        fillers: Mapping[str, int] = {_TOKENS: self._facts.padding, _TYPES: 0}
        arrays = padded(rows, {name: fillers[name] for name in rows.schema.names})
        (found,) = self._session.run(None, {name: arrays[name] for name in self._facts.inputs})
        return {None: found} if self._facts.labels is None else self._classes(found, self._facts.labels)

    @staticmethod
    def _classes(scores: Any, labels: tuple[str, ...]) -> Predictions:
        best = scores.argmax(axis=1)
        return {"label": [labels[index] for index in best], "score": scores.max(axis=1).astype(np.float64)}

    def predict(self, inputs: pa.RecordBatch) -> Predictions:
        """Run the graph for texts as one batch."""
        return self.predict_prepared(self.prepare(inputs).inputs)

    def close(self) -> None:
        """Let go of the session."""
        self._session = None
