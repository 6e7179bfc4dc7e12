"""The type matrix without Spark: Arrow in, a real pyfunc, Arrow out."""

from __future__ import annotations

import pyarrow as pa
import pytest

from spark_infer.config import ScoreOptions
from spark_infer.core.stats import Stats
from spark_infer.errors import InputValueError
from spark_infer.models.files.store import ModelStore
from spark_infer.models.recipe import make_recipe
from spark_infer.models.registry.resolve import resolve
from spark_infer.models.worker import load_model, score_table_batches
from spark_infer.runtime.assignment import Assignment
from tests.types.broken import BROKEN, Broken
from tests.types.cases import MODELS
from tests.types.rows import SIZE, differences, same_bits, table
from tests.types.saved import save_echoes


@pytest.fixture(scope="session")
def echoes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return save_echoes(tmp_path_factory.mktemp("echoes"))


def scored(model: str, batch: pa.RecordBatch, store: ModelStore, **options: object) -> pa.RecordBatch:
    ref = resolve(model, tracking_uri=None, registry_uri=None, store=store)
    recipe = make_recipe(
        ref,
        batch.schema,
        ScoreOptions(batch_size=SIZE, allow_casts=("decimal->double", "double->float", "long->double"), **options),
        folder=store.path(ref.digest),
        load_model=lambda spec: load_model(spec, ref, lambda: store.path(ref.digest), Stats(), cache_bytes=2**30),
        result_schema=pa.schema([("seen", pa.string())]),
    )
    batches = list(score_table_batches(recipe, lambda: store.path(ref.digest), [batch], Assignment()))
    return pa.Table.from_batches(batches).combine_chunks().to_batches()[0]


@pytest.mark.parametrize("name", MODELS)
def test_every_value_reaches_the_model_as_its_declared_type_says(
    name: str, echoes: dict[str, str], store: ModelStore
) -> None:
    batch = table(cases=MODELS[name])
    inputs = [case.column for case in MODELS[name]] if name == "unsigned" else None
    out = scored(echoes[name], batch, store, inputs=inputs)
    seen = dict(zip(out.column("row").to_pylist(), out.column("seen").to_pylist(), strict=True))
    assert differences(MODELS[name], seen) == {}
    for column in batch.schema.names:
        assert same_bits(out.column(column), batch.column(column)), column


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: f"{broken.case.column} {broken.what}")
def test_a_value_without_a_place_is_an_error_that_names_the_column(
    broken: Broken, echoes: dict[str, str], store: ModelStore
) -> None:
    ((name, cases),) = ((name, cases) for name, cases in MODELS.items() if broken.case in cases)
    batch = table([(broken.case, broken.value)], cases).slice(2 * SIZE)
    inputs = [case.column for case in cases] if name == "unsigned" else None
    with pytest.raises(InputValueError, match=f"^Column '{broken.case.column}'") as refusal:
        scored(echoes[name], batch, store, inputs=inputs)
    assert broken.says in str(refusal.value)
    assert broken.value is None or str(broken.value) not in str(refusal.value)
