"""How often a job tries again what failed for no fault of its rows."""

from __future__ import annotations

from pydantic import Field

from spark_infer.config.duration import Duration
from spark_infer.config.frozen import Frozen


class RetryOptions(Frozen):
    """Try again where files or a store could not be reached, or a worker process was lost.

    Example:
        >>> RetryOptions(attempts=3, backoff="1m")
        RetryOptions(attempts=3, backoff=60.0)
    """

    attempts: int = Field(default=3, ge=1, le=100, description="How often a command tries in all.")
    backoff: Duration = Field(
        default=10.0,
        ge=0,
        le=3600,
        allow_inf_nan=False,
        description="How long it waits before the second attempt, in seconds or as `30s`, `2m`; twice as long before "
        "each further one.",
    )
