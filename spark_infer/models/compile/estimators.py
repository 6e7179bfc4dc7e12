"""A compiled estimator in the store: made once for a model, options and the converters' versions, then found again."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

import spark_infer
from spark_infer.core.binding import Binding
from spark_infer.core.exception_text import describe_exception
from spark_infer.core.outputs import Predictions
from spark_infer.core.prediction_columns import ONLY_OUTPUT
from spark_infer.errors import ModelRefusedError, SparkInferError
from spark_infer.models.backends import compiled, compiled_trees
from spark_infer.models.backends import load as load_model
from spark_infer.models.backends.estimator import score_names
from spark_infer.models.backends.native.sklearn import by_position
from spark_infer.models.backends.spec import COMPILED, COMPILED_TREES, Artefact, LoadedModel, LoadSpec
from spark_infer.models.compile import to_llvm
from spark_infer.models.compile.agreement import Agreement
from spark_infer.models.compile.guard import Guard
from spark_infer.models.compile.to_onnx import Inputs, convert
from spark_infer.models.files.notes import derived
from spark_infer.models.files.store import ModelStore
from spark_infer.models.requirements import Requirement, installed
from spark_infer.runtime.process_state import this_process

if TYPE_CHECKING:
    from spark_infer.models.recipe import Recipe

FORMAT = 1
_METHODS = ("predict", "predict_proba")
_RUN_BY = {COMPILED: "onnxruntime", COMPILED_TREES: "lleaves"}


def compiled_spec(
    recipe: Recipe, original: LoadedModel, base: pa.RecordBatch, store: ModelStore, agreement: Agreement
) -> LoadSpec:
    """Return how the compiled model is loaded; converts it where the store has it not.

    Args:
        recipe: The scoring by the original.
        original: The model, loaded here.
        base: One row of real inputs.
        store: The driver's store.
        agreement: How far answers may differ.

    Raises:
        ModelRefusedError: The model cannot be converted.
        EnvironmentProblem: The converters are not installed, or the store cannot be used.
    """
    load = replace(recipe.load, backend=_backend(recipe), device="cpu", address=None)
    digest = derived(store, _key(recipe), partial(_make, recipe, original, base, store, agreement.bound))
    return replace(load, artefact=Artefact(digest=digest, size_bytes=store.size_bytes(digest)))


def _key(recipe: Recipe) -> str:
    load, options = recipe.load, recipe.options.compile
    assert options is not None
    converters = ("lleaves", "llvmlite") if options.to == "llvm" else ("skl2onnx", "onnx", "onnxruntime")
    libraries = (*converters, "scikit-learn", "xgboost", "lightgbm", "numpy")
    decides = {
        "format": FORMAT,
        "spark_infer": spark_infer.__version__,
        "model": recipe.ref.digest,
        "backend": load.backend,
        "methods": load.methods,
        "by_signature": load.by_signature,
        "columns": [(column.target, str(column.type), column.source is None) for column in load.binding.columns],
        "tensors": repr(load.binding.tensors),
        "variables": load.variables_digest,
        "outputs": str(recipe.raw_outputs),
        "options": options.model_dump(mode="json"),
        "machine": platform.machine() if options.to == "llvm" else "",
        "versions": installed([Requirement(name, name) for name in libraries]),
    }
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()


def _make(
    recipe: Recipe, original: LoadedModel, base: pa.RecordBatch, store: ModelStore, bound: float, folder: Path
) -> None:
    this_process().models.on_wait("compiling the model")
    load = recipe.load
    refused = [method for method in load.methods if method not in _METHODS]
    if refused:
        raise ModelRefusedError(
            f"predict_method={list(load.methods)} cannot be compiled.",
            details=[f"compiled models have {list(_METHODS)}"],
            next_step="leave `compile` out, or ask for these.",
        )
    answers = list(_answers(original, base, "the model", show_values=recipe.show_values).values())
    # Loaded again: a converter may write into what it is given, and the original is what answers are held to.
    own: Any = load_model(load, store.path(recipe.ref.digest))
    inputs = _inputs(own.framework_model, load.binding, base)
    ports = _convert(recipe, own.framework_model, inputs, folder, flat=np.ndim(answers[0]) == 1)
    facts = compiled.Facts(
        width=inputs.width,
        dtype=inputs.dtype,
        columns=inputs.columns,
        outputs=tuple(_outputs(own.framework_model, load, ports, answers)),
        limits={},
    )
    facts.write(folder)
    model = _opened(replace(load, backend=_backend(recipe)), folder)
    _answers(model, base, "the compiled model", show_values=recipe.show_values)
    guard = Guard(original=original, compiled=model, base=base, outputs=recipe.raw_outputs, bound=max(bound, 1e-5))
    replace(facts, limits=guard.limits()).write(folder)
    model.close()


def _backend(recipe: Recipe) -> str:
    options = recipe.options.compile
    return COMPILED_TREES if options is not None and options.to == "llvm" else COMPILED


def _convert(recipe: Recipe, estimator: Any, inputs: Inputs, folder: Path, *, flat: bool) -> tuple[str, ...]:
    """Convert a model into a folder, and return what to ask of it for each method."""
    if _backend(recipe) == COMPILED_TREES:
        return to_llvm.convert(estimator, recipe.load.methods, folder)
    converted = convert(estimator, recipe.load.methods, inputs, flat=flat)
    (folder / compiled.GRAPH).write_bytes(converted.content)
    return converted.ports


def _answers(model: LoadedModel, base: pa.RecordBatch, which: str, *, show_values: bool) -> Predictions:
    try:
        return model.predict(base)
    except Exception as error:
        told = (
            (error.what, *error.details)
            if isinstance(error, SparkInferError)
            else describe_exception(error, show_values=show_values)
        )
        raise ModelRefusedError(
            f"The model cannot be compiled: {which} fails on a row of the table.",
            details=told,
            next_step="mend or filter such rows, or leave `compile` out.",
        ) from (error if show_values else None)


def _opened(load: LoadSpec, folder: Path) -> LoadedModel:
    try:
        return compiled_trees.load(load, folder) if load.backend == COMPILED_TREES else compiled.load(load, folder)
    except Exception as error:
        raise ModelRefusedError(
            f"The model cannot be compiled: {_RUN_BY[load.backend]} does not take the graph that its converters made.",
            next_step="leave `compile` out: the model's own library serves it.",
        ) from error


def _inputs(model: Any, binding: Binding, base: pa.RecordBatch) -> Inputs:
    fed = [column for column in binding.columns if column.source is not None]
    if len(fed) < len(binding.columns):
        raise ModelRefusedError(
            "The model cannot be compiled: its signature has optional columns that the table lacks.",
            next_step="leave `compile` out.",
        )
    library = type(model).__module__.partition(".")[0]
    if library != "sklearn" or binding.tensors:
        width = sum(_width(base.column(name)) for name in base.schema.names)
        return Inputs(width=width, dtype="float32" if library == "xgboost" else "float64")
    others = [column.target for column in fed if not _is_number(column.type) and not _is_text(column.type)]
    if others:
        raise ModelRefusedError(
            "The model cannot be compiled: a graph would take numbers and text.",
            details=[f"column(s) {others}"],
            next_step="leave `compile` out: the model's own library serves it.",
        )
    texts = [_is_text(column.type) for column in fed]
    by_name = any(texts) or _selects_by_name(model)
    columns = tuple(zip((column.target for column in fed), texts, strict=True)) if by_name else ()
    return Inputs(width=len(fed), columns=columns)


def _selects_by_name(model: Any) -> bool:
    first = model
    while hasattr(first, "steps") or hasattr(first, "best_estimator_"):
        first = first.best_estimator_ if hasattr(first, "best_estimator_") else first.steps[0][1]
    return hasattr(first, "transformers") and not by_position(first)


def _width(column: pa.Array) -> int:
    width = len(column.flatten()) if hasattr(column, "flatten") and pa.types.is_nested(column.type) else 1
    return int(width)


def _is_number(type_: pa.DataType) -> bool:
    types = pa.types
    return bool(types.is_integer(type_) or types.is_floating(type_) or types.is_boolean(type_))


def _is_text(type_: pa.DataType) -> bool:
    return bool(pa.types.is_string(type_) or pa.types.is_large_string(type_))


def _outputs(model: Any, load: LoadSpec, ports: Sequence[str], answers: Sequence[Any]) -> list[compiled.Output]:
    """Describe what each method returns, as the original was seen to return it."""
    left = [np.asarray(each) for each in answers]
    outputs = []
    for method, port in zip(load.methods, ports, strict=True):
        names: tuple[str, ...] | None = None if load.by_signature else (ONLY_OUTPUT,)
        if method != "predict" and not load.by_signature:
            names = tuple(score_names(model, method))
        first = left[0]
        del left[: len(names or "1")]
        dtype = "object" if first.dtype.kind in "OUS" else first.dtype.name
        outputs.append(
            compiled.Output(port=port, names=names, dtype=dtype, flat=first.ndim == 1 and method == "predict")
        )
    return outputs
