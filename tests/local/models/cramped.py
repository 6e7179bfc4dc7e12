"""A pyfunc with memory for 37 rows at once, which writes down how many rows it gets and in which process."""

import os
import time

import mlflow
from mlflow.pyfunc.model import PythonModel


class Cramped(PythonModel):
    """Doubles its input."""

    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        with open(os.environ["SPARK_INFER_TEST_ROWS"], "a") as counted:
            counted.write(f"{os.getpid()} {len(model_input)}\n")
        if len(model_input) > 37:
            time.sleep(0.05)  # as long as it takes the other worker to run out of memory too
            raise MemoryError
        return model_input["x"] * 2


mlflow.models.set_model(Cramped())
