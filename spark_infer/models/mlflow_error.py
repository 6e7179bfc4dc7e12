"""The error for an environment of the model's own, which is MLflow's exception too."""

from __future__ import annotations

from mlflow.exceptions import MlflowException

from spark_infer.errors import ConfigError


class RefusedEnvironmentError(ConfigError, MlflowException):
    """Raised where `mlflow.pyfunc.spark_udf` raises an MlflowException, for code that catches that one."""
