"""What `result_type` makes of the outputs of a pyfunc, with and without outputs in its signature."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pyarrow as pa
import pytest
from mlflow.models import ModelSignature
from mlflow.pyfunc.model import PythonModel
from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema, TensorSpec
from mlflow.types.schema import AnyType, Array

from spark_infer.config import ScoreOptions
from spark_infer.core.stats import Stats
from spark_infer.errors import PlanError, PredictionShapeError
from spark_infer.models.files.store import ModelStore
from spark_infer.models.recipe import make_recipe
from spark_infer.models.registry.resolve import resolve
from spark_infer.models.worker import load_model, score_table_batches
from spark_infer.runtime.assignment import Assignment

pytestmark = pytest.mark.filterwarnings("ignore")

ANY = AnyType()  # type: ignore[no-untyped-call]  # MLflow's
TABLE = pa.table({"a": [1.0, 2.0], "b": [10.0, 20.0]})
FORMS: dict[str, Any] = {
    "frame of one": lambda m: pd.DataFrame({"score": m["a"]}),
    "frame of two": lambda m: m.rename(columns={"a": "p", "b": "q"}),
    "dict": lambda m: {"score": m["a"].to_numpy()},
    "dicts": lambda m: m[["a"]].rename(columns={"a": "score"}).to_dict("records"),
    "matrix": lambda m: m.to_numpy(),
    "series": lambda m: m["a"],
    "number": lambda m: float(m["a"].sum()),
    "record": lambda m: {"p": m["a"].sum(), "q": m["b"].sum()},
    "texts": lambda m: [["a"], None],
}


class Answers(PythonModel):
    """Answers in the form that its parameter says."""

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> Any:
        return FORMS[params["form"]](model_input)


def scored(folder: Path, store: ModelStore, form: str, result: pa.Schema | None, **options: Any) -> list[Any]:
    ref = resolve(str(folder), tracking_uri=None, registry_uri=None, store=store)
    recipe = make_recipe(
        ref,
        TABLE.schema,
        ScoreOptions(params={"form": form}, **options),
        folder=store.path(ref.digest),
        load_model=lambda spec: load_model(spec, ref, lambda: store.path(ref.digest), Stats(), cache_bytes=2**30),
        keep=(),
        result_schema=result,
    )
    found = pa.Table.from_batches(
        score_table_batches(recipe, lambda: store.path(ref.digest), TABLE.to_batches(), Assignment())
    )
    return [next(iter(row.values())) if len(row) == 1 else row for row in found.to_pylist()]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    outputs = {
        "none": None,
        "p and q": Schema([ColSpec("double", "p"), ColSpec("double", "q")]),
        "score": Schema([ColSpec("double", "score")]),
        "unnamed": Schema([ColSpec("double")]),
        "any": Schema([ColSpec(ANY)]),
        "any texts": Schema([ColSpec(Array(ANY), "words")]),
        "rows of two": Schema([TensorSpec(pd.Series([1.0]).dtype, (2,))]),
    }
    folder = tmp_path_factory.mktemp("answers")
    inputs, params = Schema([ColSpec("double", "a"), ColSpec("double", "b")]), [ParamSpec("form", "string", "series")]
    for name, schema in outputs.items():
        mlflow.pyfunc.save_model(
            folder / name,
            python_model=Answers(),
            signature=ModelSignature(inputs, schema, ParamSchema(params)),
            pip_requirements=["pandas"],
        )
    return {name: folder / name for name in outputs}


def bare(data_type: pa.DataType) -> pa.Schema:
    return pa.schema({"prediction": data_type})


DOUBLE, DOUBLES = bare(pa.float64()), bare(pa.list_(pa.float64()))


@pytest.mark.parametrize(
    ("outputs", "form", "result", "expected"),
    [
        *(("none", form, DOUBLE, [1.0, 2.0]) for form in ("frame of one", "dict", "dicts", "series")),
        ("none", "frame of two", DOUBLES, [[1.0, 10.0], [2.0, 20.0]]),
        ("none", "matrix", DOUBLES, [[1.0, 10.0], [2.0, 20.0]]),
        ("none", "series", DOUBLES, [[1.0], [2.0]]),
        ("none", "frame of one", bare(pa.string()), ["1.0", "2.0"]),
        ("none", "frame of one", pa.schema({"score": pa.float32()}), [1.0, 2.0]),
        ("p and q", "frame of two", DOUBLES, [[1.0, 10.0], [2.0, 20.0]]),
        ("p and q", "matrix", DOUBLES, [[1.0, 10.0], [2.0, 20.0]]),
        ("score", "frame of one", bare(pa.int64()), [1, 2]),
        ("unnamed", "frame of one", None, [1.0, 2.0]),
        ("any", "texts", bare(pa.list_(pa.string())), [["a"], None]),
        ("any", "frame of two", pa.schema({"q": pa.int64()}), [10, 20]),
        ("any texts", "texts", bare(pa.list_(pa.string())), [["a"], None]),
        ("rows of two", "matrix", None, [[1.0, 10.0], [2.0, 20.0]]),
    ],
)
def test_a_result_type_takes_what_the_model_returns(
    models: dict[str, Path], store: ModelStore, outputs: str, form: str, result: pa.Schema | None, expected: list[Any]
) -> None:
    assert scored(models[outputs], store, form, result) == expected


def test_a_single_answer_is_that_of_a_batch_of_one_row_alone(models: dict[str, Path], store: ModelStore) -> None:
    assert scored(models["none"], store, "number", DOUBLE, batch_size=1) == [1.0, 2.0]
    rows = scored(models["p and q"], store, "record", None, batch_size=1)
    assert rows == [{"p": 1.0, "q": 10.0}, {"p": 2.0, "q": 20.0}]
    for form in ("number", "record"):
        with pytest.raises(PredictionShapeError, match=r"1 value\(s\) of .* for a batch of 2 rows"):
            scored(models["p and q" if form == "record" else "none"], store, form, None if form == "record" else DOUBLE)


@pytest.mark.parametrize(
    ("outputs", "form", "result", "error", "says"),
    [
        ("p and q", "frame of two", DOUBLE, PlanError, r"one type, double, and the model returns \['p', 'q'\]"),
        ("none", "frame of two", DOUBLE, PredictionShapeError, r"the outputs \['p', 'q'\], and one of type double"),
        ("none", "matrix", DOUBLE, PredictionShapeError, r"values of shape \(2, 2\) for 'prediction': not double"),
        ("none", "frame of one", pa.schema({"p": pa.float64()}), PredictionShapeError, r"output\(s\) \['p'\]"),
        ("any", "texts", None, PlanError, r"leaves open what \['prediction'\] holds"),
        ("any texts", "texts", None, PlanError, r"leaves open what \['words'\] holds"),
    ],
)
def test_what_is_not_one_value_is_an_error_that_names_the_outputs(
    models: dict[str, Path], store: ModelStore, outputs: str, form: str, result: Any, error: Any, says: str
) -> None:
    with pytest.raises(error, match=says):
        scored(models[outputs], store, form, result)
