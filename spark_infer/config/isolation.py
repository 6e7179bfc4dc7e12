"""Whether the model runs in a process of its own."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from spark_infer.config.frozen import Frozen


class IsolationOptions(Frozen):
    """Where the model runs in a worker, and how much memory it may take there.

    Example:
        >>> IsolationOptions(memory_bytes=4 * 2**30)
        IsolationOptions(by='process', memory_bytes=4294967296)
    """

    plain_key: ClassVar[str] = "by"

    by: Literal["process"] = Field(default="process", description="The model runs in a child process of each worker.")
    memory_bytes: int | None = Field(
        default=None,
        ge=1,
        description="Bytes of memory that predicting may take in that process beyond the loaded model. Without it, "
        "half of what the machine, or the worker's container, has free when the model is loaded.",
    )
