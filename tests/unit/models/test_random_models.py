"""Random models and tables through the generator of every door: the answers are those of pyfunc, by position."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import mlflow
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mlflow.pyfunc import PyFuncModel

from spark_infer.config import ScoreOptions
from spark_infer.models.backends import load
from spark_infer.models.files.store import ModelStore
from spark_infer.models.recipe import Recipe, make_recipe
from spark_infer.models.registry.resolve import resolve
from spark_infer.models.worker import score_table_batches
from spark_infer.runtime.assignment import Assignment
from tests.differential.cases import Case, cases, expected, plain
from tests.differential.model import OUTPUTS, options, save_many

pytestmark = pytest.mark.filterwarnings("ignore")

Scored = Callable[[Case, int, int, str], pa.Table]


class Both:
    """A saved model on both sides: MLflow's own pyfunc, and the generator."""

    def __init__(self, outputs: str, folder: Path) -> None:
        self._outputs = outputs
        self._store = ModelStore(folder / "store")
        self._model = save_many(folder / "model", outputs)
        self.pyfunc: PyFuncModel = mlflow.pyfunc.load_model(self._model)
        self._ref = resolve(self._model, tracking_uri=None, registry_uri=None, store=self._store)
        self._files = self._store.path(self._ref.digest)

    def scored(self, case: Case, batch_size: int | None, cut: int, deduplicate: str) -> pa.Table:
        """Score a case's table, which arrives in pieces of ``cut`` rows."""
        recipe = self._recipe(case.table.schema, batch_size, deduplicate)
        pieces = case.table.combine_chunks().to_batches(max_chunksize=cut)
        return pa.Table.from_batches(score_table_batches(recipe, lambda: self._files, pieces, Assignment()))

    def _recipe(self, schema: pa.Schema, batch_size: int | None, deduplicate: str) -> Recipe:
        return make_recipe(
            self._ref,
            schema,
            ScoreOptions.model_validate(
                {"batch_size": batch_size, "deduplicate": deduplicate, **options(self._outputs)}
            ),
            folder=self._files,
            load_model=lambda spec: load(spec, self._files),
            result_schema=pa.schema({"y": pa.float64()}) if self._outputs == "bare" else None,
        )


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Both]:
    return cache(lambda outputs: Both(outputs, tmp_path_factory.mktemp(outputs)))


def check(both: Callable[[str], Both], data: st.DataObject) -> None:
    outputs = data.draw(st.sampled_from(list(OUTPUTS)))
    case, model = data.draw(cases(outputs)), both(outputs)
    batch_size = data.draw(st.one_of(st.none(), st.integers(1, 9)))
    deduplicate = data.draw(st.sampled_from(["never", "always"]))
    before = case.table.to_pylist()
    scored = model.scored(case, batch_size, data.draw(st.integers(1, 30)), deduplicate)
    names = [column.name for column in OUTPUTS[outputs].inputs]
    found = list(zip(*(plain(scored.column(name)) for name in names), strict=True))
    assert found == expected(case, model.pyfunc)
    assert repr(scored.select(case.table.column_names).to_pylist()) == repr(case.table.to_pylist()) == repr(before)


@given(st.data())
@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_a_random_model_answers_as_its_pyfunc_does(both: Callable[[str], Both], data: st.DataObject) -> None:
    check(both, data)


@pytest.mark.soak
@given(st.data())
@settings(max_examples=500, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_hundreds_of_random_models_do(both: Callable[[str], Both], data: st.DataObject) -> None:
    check(both, data)
