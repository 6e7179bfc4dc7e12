"""Columns that have one value in every row of a run."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from spark_infer.config import JobConfig
from spark_infer.models.ref import ModelRef


def text_stamps(config: JobConfig, ref: ModelRef) -> dict[str, str]:
    """Return the columns that name the model that scored a row, and their texts."""
    return ref.texts(config.target.model_name_column, config.target.model_version_column)


def constants(config: JobConfig, ref: ModelRef, started_at: datetime) -> dict[str, Any]:
    """Return all columns that have one value in every row of a run, and the values."""
    at = config.target.scored_at_column
    return text_stamps(config, ref) | ({} if at is None else {at: started_at})
