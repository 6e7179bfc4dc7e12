from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from spark_infer.config import ScoreOptions
from spark_infer.errors import ConfigError, ModelRefusedError
from spark_infer.models.backends.choose_backend import Choice, choose
from spark_infer.models.mlmodel import MLModel

HERE = Path()


def spark_ml(model_class: str = "pyspark.ml.pipeline.PipelineModel") -> MLModel:
    return MLModel(
        flavors={
            "python_function": {"loader_module": "mlflow.spark", "data": "sparkml"},
            "spark": {"model_class": model_class, "model_data": "sparkml"},
        }
    )


@pytest.mark.parametrize("asked", ["auto", "spark"])
def test_spark_runs_its_own_pipelines(asked: str) -> None:
    assert choose(spark_ml(), ScoreOptions(backend=asked), HERE).backend == "spark"


def test_a_pipeline_is_refused_to_every_other_backend() -> None:
    for asked in ("pyfunc", "sklearn"):
        with pytest.raises(ModelRefusedError, match="a Spark of its own in every Python worker"):
            choose(spark_ml(), ScoreOptions(backend=asked), HERE)


def test_the_models_of_pyspark_ml_connect_are_python_and_go_through_pyfunc() -> None:
    model = spark_ml("pyspark.ml.connect.classification.LogisticRegressionModel")
    assert choose(model, ScoreOptions(), HERE) == Choice(backend="pyfunc", reason="no native backend for flavor spark")


def test_a_custom_model_goes_through_pyfunc_alone() -> None:
    model = MLModel(flavors={"python_function": {"loader_module": "mlflow.pyfunc.model"}})
    assert choose(model, ScoreOptions(), HERE) == Choice(
        backend="pyfunc", reason="no native backend for a custom pyfunc"
    )
    for asked in ("spark", "sklearn"):
        with pytest.raises(ModelRefusedError, match=f"it has no {asked} flavor"):
            choose(model, ScoreOptions(backend=asked), HERE)
    with pytest.raises(ModelRefusedError, match="needs a native backend"):
        choose(model, ScoreOptions(predict_method=("predict_proba",)), HERE)


def test_a_backend_that_does_not_exist_is_refused_with_the_nearest() -> None:
    model: Any = spark_ml()
    with pytest.raises(ConfigError, match="did you mean 'xgboost'"):
        choose(model, ScoreOptions(backend="xgbost"), HERE)
