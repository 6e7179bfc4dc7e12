"""A pyfunc that writes to the screen as frameworks do: a progress bar, a warning, a logger's line and plain text."""

import logging
import os
import sys
import warnings

import mlflow
from mlflow.pyfunc.model import PythonModel


def make_noise(what: str) -> None:
    sys.stderr.write(f"\rNOISE {what} bar 100%")
    warnings.warn(f"NOISE {what} warning", stacklevel=1)
    logging.getLogger("framework").warning("NOISE %s logger", what)
    print(f"NOISE {what} print")  # noqa: T201 - it is what is tested
    os.write(2, f"NOISE {what} native\n".encode())


class Noisy(PythonModel):
    """Doubles its input."""

    def load_context(self, context):  # type: ignore[no-untyped-def]
        make_noise("load")

    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        make_noise("predict")
        return model_input["x"] * 2


mlflow.models.set_model(Noisy())
