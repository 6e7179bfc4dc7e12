"""Score big tables with machine-learning models on Apache Spark: once per row, exactly, and at the model's speed.

Three doors, one path: `model_udf` for columns, `score` for DataFrames, `score_table` and `ScoringJob` for tables.
Importing this package loads nothing heavy; each name is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spark_infer.config import CompileOptions, JobConfig, ResourceOptions, SparkConfig
    from spark_infer.errors import PlanError, RunError, SparkInferError
    from spark_infer.job.plan import Plan
    from spark_infer.job.preview import Preview
    from spark_infer.job.scoring import ScoringJob, score_table
    from spark_infer.job.streams.score_stream import score_stream
    from spark_infer.models.callables.callable_model import CallableModel
    from spark_infer.models.ref import ModelRef
    from spark_infer.observe.report import Report
    from spark_infer.spark.dataframe import score
    from spark_infer.spark.session import start_session
    from spark_infer.spark.udf import model_udf
    from spark_infer.tables.delta import delta_conf

__version__ = "0.1.0"

__all__ = [
    "CallableModel",
    "CompileOptions",
    "JobConfig",
    "ModelRef",
    "Plan",
    "PlanError",
    "Preview",
    "Report",
    "ResourceOptions",
    "RunError",
    "ScoringJob",
    "SparkConfig",
    "SparkInferError",
    "delta_conf",
    "model_udf",
    "score",
    "score_stream",
    "score_table",
    "start_session",
]

_HOMES = {
    "CallableModel": "spark_infer.models.callables.callable_model",
    "CompileOptions": "spark_infer.config",
    "JobConfig": "spark_infer.config",
    "ModelRef": "spark_infer.models.ref",
    "Plan": "spark_infer.job.plan",
    "PlanError": "spark_infer.errors",
    "Preview": "spark_infer.job.preview",
    "Report": "spark_infer.observe.report",
    "ResourceOptions": "spark_infer.config",
    "RunError": "spark_infer.errors",
    "ScoringJob": "spark_infer.job.scoring",
    "SparkConfig": "spark_infer.config",
    "SparkInferError": "spark_infer.errors",
    "delta_conf": "spark_infer.tables.delta",
    "model_udf": "spark_infer.spark.udf",
    "score": "spark_infer.spark.dataframe",
    "score_stream": "spark_infer.job.streams.score_stream",
    "score_table": "spark_infer.job.scoring",
    "start_session": "spark_infer.spark.session",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(_HOMES[name]), name)
    except ModuleNotFoundError as error:
        if error.name not in ("pyspark", "py4j"):
            raise
        from spark_infer.errors import install_extra

        message = f"{__name__}.{name} needs PySpark, which is not installed: {install_extra('spark')}."
        raise ModuleNotFoundError(message, name=error.name) from error


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
