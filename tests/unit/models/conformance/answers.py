"""A case asked on both sides: through MLflow alone, and through us."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
from mlflow.models import Model, ModelSignature
from mlflow.types import DataType, TensorSpec
from mlflow.types.schema import Array, Map, Object

from spark_infer.config import ScoreOptions
from spark_infer.core.stats import Stats
from spark_infer.models.backends import load
from spark_infer.models.backends.choose_backend import Choice
from spark_infer.models.files.store import ModelStore
from spark_infer.models.recipe import Recipe, make_recipe
from spark_infer.models.registry.resolve import resolve
from spark_infer.models.worker import load_model, score_table_batches
from spark_infer.runtime.assignment import Assignment
from tests.unit.models.conformance.case import Case

_TYPES = {
    DataType.boolean: pa.bool_(),
    DataType.integer: pa.int32(),
    DataType.long: pa.int64(),
    DataType.float: pa.float32(),
    DataType.double: pa.float64(),
    DataType.string: pa.string(),
    DataType.binary: pa.binary(),
    DataType.datetime: pa.timestamp("us"),
}


@dataclass(frozen=True)
class Answers:
    """What both sides said.

    Attributes:
        choice: Which backend served, and why.
        how: How batches reached it.
        scored: Our prediction columns.
        expected: MLflow's, under the names that the signature gives them.
        declared: Names and types by MLflow's own reading of the signature; None where it declares no outputs.
    """

    choice: Choice
    how: str
    scored: pa.Table
    expected: dict[str, list[Any]]
    declared: pa.Schema | None


def ask(case: Case, folder: Path) -> Answers:
    """Train and save the case's model, and ask both sides for its rows."""
    model = folder / "model"
    rows = case.save(model)
    expected, declared = reference(case, model, rows)
    batch = pa.RecordBatch.from_pandas(rows.reset_index(drop=True), preserve_index=False)
    store = ModelStore(folder / "store")
    recipe = _recipe(case, model, batch.schema, store)

    def files() -> Path:
        return store.path(recipe.ref.digest)

    scored = pa.Table.from_batches(score_table_batches(recipe, files, _pieces(batch), Assignment()))
    loaded = load_model(recipe.load, recipe.ref, files, Stats(), cache_bytes=recipe.options.cache_bytes)
    return Answers(recipe.choice, loaded.how, scored, expected, case.declares or declared)


def reference(case: Case, folder: Path, rows: pd.DataFrame) -> tuple[dict[str, list[Any]], pa.Schema | None]:
    """Ask MLflow alone; return its answers and what its signature declares (see `Answers`)."""
    declared = _declared(Model.load(str(folder)).signature)
    answer = mlflow.pyfunc.load_model(str(folder)).predict(rows.copy(), params=dict(case.params) or None)
    return _columns(answer, declared), declared


def _recipe(case: Case, folder: Path, schema: pa.Schema, store: ModelStore) -> Recipe:
    ref = resolve(str(folder), tracking_uri=None, registry_uri=None, store=store)
    options = ScoreOptions(**dict(case.options), params=dict(case.params))
    files = store.path(ref.digest)
    return make_recipe(
        ref,
        schema,
        options,
        folder=files,
        load_model=lambda spec: load(spec, files),
        keep=(),
        result_schema=case.returns,
    )


def _pieces(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Cut a batch unevenly, since the answer may not depend on it; each piece reaches the model by itself."""
    cut = len(batch) // 3 + 1
    for start in range(0, len(batch), cut):
        yield batch.slice(start, cut)


def _columns(answer: Any, declared: pa.Schema | None) -> dict[str, list[Any]]:
    """What MLflow's pyfunc returned, as columns under the names of the signature."""
    if isinstance(answer, Iterator):
        parts = list(answer)
        answer = pd.concat(parts) if isinstance(parts[0], pd.DataFrame) else parts
    if isinstance(answer, list) and hasattr(answer[0], "model_dump"):
        answer = [row.model_dump() for row in answer]
    if isinstance(answer, list) and isinstance(answer[0], dict):
        answer = pd.DataFrame(answer)
    if hasattr(answer, "toarray"):
        answer = answer.toarray()
    names = declared.names if declared is not None else ["prediction"]
    if isinstance(answer, pd.DataFrame):
        columns = {str(name): answer[name] for name in answer.columns}
    elif isinstance(answer, dict):
        columns = answer
    elif len(names) > 1:
        columns = dict(zip(names, np.asarray(answer).T, strict=True))
    else:
        columns = {names[0]: answer}
    if len(columns) == len(names) and all(name.isdecimal() for name in columns):
        columns = dict(zip(names, columns.values(), strict=True))
    assert set(columns) == set(names)
    return {name: _listed(columns[name]) for name in names}


def _listed(values: Any) -> list[Any]:
    listed = values.tolist() if hasattr(values, "tolist") else list(values)
    return [value.tolist() if hasattr(value, "tolist") else value for value in listed]


def _declared(signature: ModelSignature | None) -> pa.Schema | None:
    if signature is None or signature.outputs is None:
        return None
    items = list(signature.outputs.inputs)
    only = items[0]
    if len(items) == 1 and only.name is None and isinstance(only.type, Object):  # a type hint's row
        return pa.schema([(field.name, _column_type(field.dtype)) for field in only.type.properties])
    several = len(items) > 1
    unnamed = [f"prediction_{index}" if several else "prediction" for index in range(len(items))]
    names = [default if item.name is None else str(item.name) for item, default in zip(items, unnamed, strict=True)]
    return pa.schema(list(zip(names, map(_type, items), strict=True)))


def _type(item: Any) -> pa.DataType:
    if isinstance(item, TensorSpec):
        kind = pa.string() if item.type.kind in "OU" else pa.from_numpy_dtype(item.type)
        for _ in item.shape[1:]:
            kind = pa.list_(kind)
        return kind
    return _column_type(item.type)


def _column_type(kind: Any) -> pa.DataType:
    if isinstance(kind, DataType):
        return _TYPES[kind]
    if isinstance(kind, Object):
        return pa.struct([pa.field(each.name, _column_type(each.dtype), not each.required) for each in kind.properties])
    if isinstance(kind, Map):
        return pa.map_(pa.string(), _column_type(kind.value_type))
    assert isinstance(kind, Array)
    return pa.list_(_column_type(kind.dtype))
