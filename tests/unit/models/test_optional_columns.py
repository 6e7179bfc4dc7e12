"""A model whose signature calls a column optional, and a table that lacks it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightgbm
import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import xgboost
from mlflow.models import infer_signature
from mlflow.pyfunc.model import PythonModel
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline

from spark_infer.config import ScoreOptions
from spark_infer.errors import SchemaMismatchError
from spark_infer.models.backends import load
from spark_infer.models.files.store import ModelStore
from spark_infer.models.recipe import make_recipe
from spark_infer.models.registry.resolve import resolve
from spark_infer.models.rehearsal import Rehearsal, rehearse

pytestmark = pytest.mark.filterwarnings("ignore")

ROWS = pd.DataFrame({"size": np.arange(30.0), "region": [None, *np.arange(29.0)], "age": np.arange(30.0) % 7})
ANSWER = 3 * ROWS["size"]
HAS = pa.schema({name: pa.float64() for name in ("size", "Region", "age")})


class Sized(PythonModel):
    """Takes ``region`` where it is there."""

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> Any:
        return 3 * model_input["size"] + model_input.get("region", pd.Series(0.0, model_input.index)).fillna(0)


class Strict(PythonModel):
    """Takes ``region``, and no other column that is as good."""

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> Any:
        return 3 * model_input["size"] + model_input["region"].fillna(0)


class Odd(PythonModel):
    """Takes no row that has not been seen in training."""

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> Any:
        raise ValueError(f"no row like {len(model_input)} others")


def lightgbm_model(folder: Path, **more: Any) -> None:
    mlflow.lightgbm.save_model(lightgbm.LGBMRegressor(n_estimators=3, n_jobs=1).fit(ROWS, ANSWER), folder, **more)


def xgboost_model(folder: Path, **more: Any) -> None:
    mlflow.xgboost.save_model(xgboost.XGBRegressor(n_estimators=3, n_jobs=1).fit(ROWS, ANSWER), folder, **more)


def sklearn_model(folder: Path, **more: Any) -> None:
    mlflow.sklearn.save_model(
        HistGradientBoostingRegressor(max_iter=3).fit(ROWS, ANSWER), folder, serialization_format="pickle", **more
    )


def pipeline_model(folder: Path, **more: Any) -> None:
    model = make_pipeline(SimpleImputer(), LinearRegression()).fit(ROWS, ANSWER)
    mlflow.sklearn.save_model(model, folder, serialization_format="pickle", **more)


def python_model(model: PythonModel) -> Callable[..., None]:
    def save(folder: Path, **more: Any) -> None:
        mlflow.pyfunc.save_model(folder, python_model=model, **more)

    return save


def rehearsed(tmp_path: Path, save: Callable[..., None], table: pa.Schema, *, example: bool = False) -> Rehearsal:
    signature = infer_signature(ROWS, ANSWER.rename("price"))
    assert [column.required for column in signature.inputs.inputs] == [True, False, True]
    save(
        tmp_path / "model",
        signature=signature,
        input_example=ROWS if example else None,
        pip_requirements=["pandas"],
    )
    store = ModelStore(tmp_path / "store")
    ref = resolve(str(tmp_path / "model"), tracking_uri=None, registry_uri=None, store=store)
    folder = store.path(ref.digest)
    recipe = make_recipe(ref, table, ScoreOptions(), folder=folder, load_model=lambda spec: load(spec, folder))
    return rehearse(recipe, load(recipe.load, folder), folder)


@pytest.mark.parametrize("example", [True, False], ids=["example", "no example"])
@pytest.mark.parametrize(
    "save",
    [lightgbm_model, xgboost_model, sklearn_model, pipeline_model, python_model(Strict())],
    ids=["lightgbm", "xgboost", "sklearn", "pipeline", "python"],
)
def test_a_model_that_cannot_do_without_a_column_is_refused_with_the_true_cause(
    tmp_path: Path, save: Callable[..., None], example: bool
) -> None:
    with pytest.raises(SchemaMismatchError, match="cannot do without columns that the table lacks") as refused:
        rehearsed(tmp_path, save, HAS, example=example)
    assert refused.value.problems == ("column 'region' (double) is missing (did you mean 'Region'?)",)
    assert "trained on" not in str(refused.value)


def test_a_model_that_can_do_without_is_not_refused(tmp_path: Path) -> None:
    assert rehearsed(tmp_path, python_model(Sized()), HAS, example=True).warning is None


def test_a_model_that_fails_with_all_columns_too_is_not_said_to_fail_for_one(tmp_path: Path) -> None:
    warning = rehearsed(tmp_path, python_model(Odd()), HAS).warning
    assert warning is not None
    assert "raised" in warning


def test_a_loaded_model_is_not_taken_from_the_cache_for_a_table_that_lacks_a_column(tmp_path: Path) -> None:
    signature = infer_signature(ROWS, ANSWER.rename("price"))
    xgboost_model(tmp_path / "model", signature=signature, pip_requirements=["xgboost"])
    store = ModelStore(tmp_path / "store")
    ref = resolve(str(tmp_path / "model"), tracking_uri=None, registry_uri=None, store=store)
    keys = set()
    for table in (pa.schema({name: pa.float64() for name in ROWS}), HAS):
        recipe = make_recipe(
            ref, table, ScoreOptions(), folder=store.path(ref.digest), load_model=lambda spec: pytest.fail(spec.backend)
        )
        keys.add(recipe.load.key(ref.digest))
    assert len(keys) == 2
