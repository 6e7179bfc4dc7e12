"""Columns that have one value in every row of a run: which model scored a row, and when."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa

from spark_infer.config import FunctionStep, JobConfig
from spark_infer.core.prediction_columns import signature_outputs
from spark_infer.errors import SchemaMismatchError, TargetError, nearest
from spark_infer.models.ref import ModelRef


def text_stamps(config: JobConfig, ref: ModelRef) -> dict[str, str]:
    """Return the columns that name the model that scored a row, and their texts."""
    return ref.texts(config.target.model_name_column, config.target.model_version_column)


def constants(config: JobConfig, ref: ModelRef, started_at: datetime) -> dict[str, Any]:
    """Return all columns that have one value in every row of a run, and the values."""
    at = config.target.scored_at_column
    return text_stamps(config, ref) | ({} if at is None else {at: started_at})


def stamped_schema(config: JobConfig, ref: ModelRef, scored: pa.Schema) -> pa.Schema:
    """Return the columns of scored rows with those that say which model scored them, and when.

    Raises:
        SchemaMismatchError: A column of that name is there already.
    """
    at = config.target.scored_at_column
    added = [pa.field(name, pa.string(), nullable=False) for name in text_stamps(config, ref)]
    added += [] if at is None else [pa.field(at, pa.timestamp("us", "UTC"), nullable=False)]
    refuse_clashes(scored.names, [field.name for field in added])
    return pa.schema([*scored, *added])


def refuse_clashes(columns: Iterable[str], names: Sequence[str]) -> None:
    """Refuse to add columns whose names are taken.

    Args:
        columns: Those that are there.
        names: Those to add.

    Raises:
        SchemaMismatchError: A column of that name is there already, or is to be added twice.
    """
    taken = {name.casefold() for name in columns}
    clashes = [name for name in names if name.casefold() in taken]
    if clashes or len({name.casefold() for name in names}) < len(names):
        raise SchemaMismatchError(
            "The columns for the model's name, its version and the time clash with the scored table's.",
            problems=[f"column {name!r} is there already" for name in clashes or names],
            next_step="rename them with model_name_column, model_version_column and scored_at_column (of `target` in a "
            "job file), or set them to null.",
        )


def refuse_unknown_columns(config: JobConfig, ref: ModelRef, table: pa.Schema) -> None:
    """Refuse partitions and keys of a target that no column can have, where its schema is not known yet.

    Raises:
        TargetError: With the nearest names. Where outputs cannot be foreseen, nothing is refused.
    """
    target, score = config.target, config.score
    declared = signature_outputs(ref.mlmodel.signature)
    if declared is None or score.result_type or score.predict_method:
        return
    if any(isinstance(step, FunctionStep) for step in score.postprocess):
        return
    outputs = (target.output,) if isinstance(target.output, str) else (target.output or {}).values()
    steps = (getattr(step, "output", None) for step in score.postprocess)
    stamps = (target.model_name_column, target.model_version_column, target.scored_at_column)
    names = [name for name in (*table.names, *declared.names, *outputs, *steps, *stamps) if name]
    folded = {name.casefold() for name in names}
    asked = dict.fromkeys((*target.partition_by, *target.partitions, *target.keys))
    problems = [f"there is no column {name!r}{nearest(name, names)}" for name in asked if name.casefold() not in folded]
    if problems:
        raise TargetError(
            f"The rows do not fit the target {target.name}.",
            details=problems,
            next_step="correct `partition_by`, `partitions` or `keys`.",
        )
