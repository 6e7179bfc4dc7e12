"""What a user may ask for: frozen, keyword-only, validated when made, unknown keys refused.

`ScoreOptions` holds what all three doors share; `JobConfig` is a whole table job, and its fields are
the keys of a job file. Every field's description is the text of the job-file reference.
"""

from __future__ import annotations

from spark_infer.config.aggregate import AggregateConfig
from spark_infer.config.compile import CompileOptions
from spark_infer.config.frozen import ColumnName, Frozen, ModuleFunction
from spark_infer.config.incremental import IncrementalOptions
from spark_infer.config.isolation import IsolationOptions
from spark_infer.config.job import (
    JobConfig,
    QuarantineConfig,
    TargetConfig,
)
from spark_infer.config.model import ModelConfig
from spark_infer.config.resources import ResourceOptions
from spark_infer.config.score import (
    CASTS,
    DEFAULT_BATCH_SIZE,
    DEFAULT_CACHE_BYTES,
    DEFAULT_MAX_BATCH_BYTES,
    ScoreOptions,
)
from spark_infer.config.source import PartitionValue, SourceConfig
from spark_infer.config.spark import SparkConfig
from spark_infer.config.steps import (
    STEP_KINDS,
    ArgmaxLabelStep,
    FunctionStep,
    LabelMapStep,
    PackStep,
    PostprocessStep,
    ThresholdStep,
    TopKStep,
)
from spark_infer.config.table import TableConfig
from spark_infer.config.unit_size import UnitOptions

__all__ = [
    "CASTS",
    "DEFAULT_BATCH_SIZE",
    "DEFAULT_CACHE_BYTES",
    "DEFAULT_MAX_BATCH_BYTES",
    "STEP_KINDS",
    "AggregateConfig",
    "ArgmaxLabelStep",
    "ColumnName",
    "CompileOptions",
    "Frozen",
    "FunctionStep",
    "IncrementalOptions",
    "IsolationOptions",
    "JobConfig",
    "LabelMapStep",
    "ModelConfig",
    "ModuleFunction",
    "PackStep",
    "PartitionValue",
    "PostprocessStep",
    "QuarantineConfig",
    "ResourceOptions",
    "ScoreOptions",
    "SourceConfig",
    "SparkConfig",
    "TableConfig",
    "TargetConfig",
    "ThresholdStep",
    "TopKStep",
    "UnitOptions",
]
