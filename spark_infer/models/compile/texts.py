"""A model of texts as an ONNX graph: exported by PyTorch, its weights in eight bits where that is asked for.

The one file that imports torch for its exporter, and the quantiser of onnxruntime.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

import spark_infer
from spark_infer.core.exception_text import describe_exception
from spark_infer.errors import EnvironmentProblem, ModelRefusedError, install_extra
from spark_infer.models.backends import compiled_texts
from spark_infer.models.backends.exportable import Exportable, not_exportable
from spark_infer.models.backends.spec import COMPILED_TEXTS, Artefact, LoadedModel, LoadSpec
from spark_infer.models.files.notes import derived
from spark_infer.models.files.store import ModelStore
from spark_infer.models.requirements import Requirement, installed
from spark_infer.runtime.process_state import this_process

if TYPE_CHECKING:
    from spark_infer.models.recipe import Recipe

FORMAT = 2
_OUTPUT = "answers"
_EXAMPLE = ["a", "a longer text, which is padded or cut"]


def compiled_spec(recipe: Recipe, original: LoadedModel, inputs: pa.RecordBatch, store: ModelStore) -> LoadSpec:
    """Return how the compiled model is loaded; exports it where the store has it not.

    Args:
        recipe: The scoring by the original.
        original: The model, loaded here.
        inputs: Real texts.
        store: The driver's store.

    Raises:
        ModelRefusedError: The model cannot be exported.
        EnvironmentProblem: A library for that is not installed, or the store cannot be used.
    """
    load = replace(recipe.load, backend=COMPILED_TEXTS, device="cpu", address=None)
    digest = derived(store, _key(recipe), partial(_make, recipe, original, inputs))
    return replace(load, artefact=Artefact(digest=digest, size_bytes=store.size_bytes(digest)))


def _key(recipe: Recipe) -> str:
    load, options = recipe.load, recipe.options.compile
    assert options is not None
    libraries = ("torch", "onnx", "onnxscript", "onnxruntime", "tokenizers", "transformers", "sentence-transformers")
    decides = {
        "format": FORMAT,
        "spark_infer": spark_infer.__version__,
        "model": recipe.ref.digest,
        "backend": load.backend,
        "to": options.to,
        "params": repr(sorted(load.params.items())),
        "config": repr(dict(load.config)),
        "variables": load.variables_digest,
        "versions": installed([Requirement(name, name) for name in libraries]),
    }
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()


def _make(recipe: Recipe, original: LoadedModel, inputs: pa.RecordBatch, folder: Path) -> None:
    this_process().models.on_wait("compiling the model")
    options, load = recipe.options.compile, recipe.load
    assert options is not None
    lacking = [name for name in ("onnx", "onnxscript", "onnxruntime") if importlib.util.find_spec(name) is None]
    if lacking:
        raise EnvironmentProblem(
            f"`compile: {options.to}` needs {' and '.join(lacking)}, which the driver's Python does not have.",
            next_step=f"{install_extra('compile')}, or leave `compile` out.",
        )
    exportable = _exportable(original)
    texts = inputs.drop_null()
    if not texts.num_rows:
        texts = pa.RecordBatch.from_arrays([pa.array(_EXAMPLE, inputs.schema.types[0])], inputs.schema.names)
    wanted = _tokens(original, texts)
    # What the library's own tokeniser was last asked for is a part of what it saves: where it cuts texts.
    exportable.tokenizer.backend_tokenizer.save(str(folder / compiled_texts.TOKENIZER))
    padding = exportable.tokenizer.pad_token_id
    compiled_texts.Facts(
        inputs=exportable.inputs,
        padding=padding,
        by_row=options.to != "int8",
        prompt=exportable.prompt,
        labels=exportable.labels,
    ).write(folder)
    with _quietly():
        _export(exportable, folder / compiled_texts.GRAPH, to=options.to)
        model = compiled_texts.load(replace(load, backend=COMPILED_TEXTS), folder)
    if not _tokens(model, texts).equals(wanted):
        raise not_exportable("its tokeniser cannot be used without its library, which gives other tokens")
    model.close()


def _exportable(original: LoadedModel) -> Exportable:
    find = getattr(original, "exportable", None)
    if find is None:
        raise not_exportable(
            "`onnx` and `int8` take embedders of sentence-transformers and text classification of transformers"
        )
    found: Exportable = find()
    if not getattr(found.tokenizer, "is_fast", False):
        raise not_exportable("its tokeniser has no fast form")
    return found


def _tokens(model: Any, inputs: pa.RecordBatch) -> pa.Array:
    return model.prepare(inputs).inputs.column("input_ids").cast(pa.list_(pa.int32()))


def _export(exportable: Exportable, path: Path, *, to: str) -> None:
    import torch

    encoded = exportable.tokenizer(_EXAMPLE, padding=True, return_tensors="pt")
    given = tuple(encoded[name] for name in exportable.inputs)
    open_shape = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    try:
        with torch.no_grad():
            program = torch.onnx.export(
                exportable.module,
                given,
                input_names=list(exportable.inputs),
                output_names=[_OUTPUT],
                dynamic_shapes=((open_shape,) * len(given),),
                dynamo=True,
                verbose=False,
            )
        assert program is not None
        if to == "int8":
            _quantize(program.model_proto, path)
        else:
            program.save(path)
    except Exception as error:
        raise ModelRefusedError(
            "The model cannot be compiled: PyTorch's exporter to ONNX failed.",
            details=describe_exception(error, show_values=False)[:1],
            next_step="leave `compile` out: the model's own library serves it.",
        ) from error


def _quantize(graph: Any, path: Path) -> None:
    """Turn the weights of matrix products and the embeddings of tokens into eight bits, each channel by its own range.

    What weights are multiplied with is scaled as it comes, by one range for a whole batch: so an answer depends on the
    other texts there. One range for a whole matrix of weights turned MiniLM's embeddings four times as far, at the same
    speed. Weights and inputs scaled in blocks of 32 (`MatMulNBits`) depend on no batch, and were half as fast.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    # The quantiser transposes weights, and would compare their new shapes with those noted here.
    del graph.graph.value_info[:]
    quantize_dynamic(
        graph, path, weight_type=QuantType.QInt8, per_channel=True, op_types_to_quantize=["MatMul", "Gather"]
    )


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep what exporter and quantiser say of their own doings from the screen."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
