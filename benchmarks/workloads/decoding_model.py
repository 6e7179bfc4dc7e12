"""The model of a workload of encoded files as `spark_udf` needs it: a pyfunc that decodes, then predicts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
from mlflow.models import ModelSignature
from mlflow.pyfunc.model import PythonModel
from mlflow.types import ColSpec, Schema

from benchmarks.encoded import decoded

NAME = "benchmark-pyfunc"


class DecodingModel(PythonModel):
    """Decodes and predicts the files of one column.

    Args:
        feeds: What is decoded: `images` or `sounds`.
    """

    def __init__(self, feeds: str) -> None:
        self._feeds = feeds

    def load_context(self, context: Any) -> None:
        """Load the network."""
        import torch

        torch.set_num_threads(1)
        self._network = mlflow.pytorch.load_model(context.artifacts["network"]).eval()

    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]  # MLflow reads types
        """Predict one batch."""
        import torch

        with torch.inference_mode():
            values = torch.from_numpy(decoded(model_input.iloc[:, 0], self._feeds))
            return list(self._network(values).numpy())


def log_decoding_model(network: Path, feeds: str, column: str) -> str:
    """Log and register the pyfunc around a network that was logged before; return its URI."""
    logged = mlflow.pyfunc.log_model(
        name="pyfunc",
        python_model=DecodingModel(feeds),
        artifacts={"network": str(network)},
        signature=ModelSignature(Schema([ColSpec("binary", column)])),
        registered_model_name=NAME,
        pip_requirements=["torch"],
    )
    return f"models:/{NAME}/{logged.registered_model_version}"
