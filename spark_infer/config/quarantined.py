"""Whether a job scores its quarantined rows again, and of which runs."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from spark_infer.config.frozen import Frozen, NameList


class QuarantinedOptions(Frozen):
    """Score the rows of the quarantine table again, in place of all rows of the source.

    Example:
        >>> QuarantinedOptions(run_ids=["5f0c"])
        QuarantinedOptions(enabled=True, run_ids=('5f0c',))
    """

    plain_key: ClassVar[str] = "enabled"

    enabled: bool = Field(default=True, description="Whether they are scored; `false` scores the source as usual.")
    run_ids: NameList = Field(
        default=(), description="The runs whose rows are scored again, by their `run_id`; all of the job without any."
    )
