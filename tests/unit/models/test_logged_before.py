"""Models that were logged by MLflow 1 and an early MLflow 2 (`logged_before/make.py`) load and answer today."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pyarrow as pa
import pytest

from spark_infer.config import ScoreOptions
from spark_infer.errors import ModelRefusedError
from spark_infer.models.driver import load_here
from spark_infer.models.files.store import ModelStore
from spark_infer.models.recipe import Recipe, make_recipe
from spark_infer.models.registry.resolve import resolve
from spark_infer.models.worker import score_table_batches
from spark_infer.runtime.assignment import Assignment

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.matrix]

FOLDER = Path(__file__).parent / "logged_before"
ROWS = pa.record_batch({"x": [-2.0, 1.5]})
DOUBLED, STEPS = [-4.0, 3.0], [1.0, 3.0]
REFUSED = {
    "mlflow_1_30/sklearn-tree": "scikit-learn==1.1.3",  # scikit-learn 1.3 reads no trees of before
    "mlflow_1_30/xgboost": "xgboost==1.6.2",  # XGBoost 3.1 does not read its first format
    "mlflow_1_30/xgboost-regressor": "xgboost==1.6.2",
    "mlflow_2_9/xgboost": "xgboost==2.0.3",
    "mlflow_2_9/xgboost-regressor": "xgboost==2.0.3",
}
MODELS = sorted(path.parent.relative_to(FOLDER).as_posix() for path in FOLDER.glob("*/*/MLmodel"))


def recipe_of(model: str, store: ModelStore) -> Recipe:
    ref = resolve(str(FOLDER / model), store=store)
    load = partial(load_here, ref=ref, store=store, cache_bytes=2**30)
    recipe = make_recipe(ref, ROWS.schema, ScoreOptions(), folder=store.path(ref.digest), load_model=load, keep=())
    load(recipe.load)
    return recipe


@pytest.mark.parametrize("model", [model for model in MODELS if model not in REFUSED])
def test_a_model_of_an_older_mlflow_is_scored(model: str, tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    recipe = recipe_of(model, store)
    scored = pa.Table.from_batches(
        score_table_batches(recipe, lambda: store.path(recipe.ref.digest), [ROWS], Assignment())
    )
    doubles = model.endswith(("line", "onnx", "pyfunc"))
    assert scored.column(0).to_pylist() == pytest.approx(DOUBLED if doubles else STEPS)


@pytest.mark.parametrize("model", REFUSED)
def test_a_model_whose_library_no_longer_reads_it_is_refused_with_the_version_that_does(
    model: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelRefusedError, match="does not load with backend") as refused:
        recipe_of(model, ModelStore(tmp_path))
    assert REFUSED[model] in str(refused.value)
