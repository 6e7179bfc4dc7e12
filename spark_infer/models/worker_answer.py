"""What one worker answers for the rows that a model is verified with, and what is installed there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa


@dataclass(frozen=True, kw_only=True)
class WorkerAnswer:
    """What one task answered.

    Attributes:
        answers: The model's outputs, as many rows as it was given.
        host: Where it ran.
        versions: Library to its version there, Python's too.
    """

    answers: pa.RecordBatch
    host: str
    versions: Mapping[str, str]
