"""Whether a job scores its quarantined rows again, and of which runs."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from spark_infer.config.aggregate import AggregateConfig
from spark_infer.config.frozen import Frozen, NameList
from spark_infer.config.table import TableConfig
from spark_infer.config.write_modes import MODES


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


def quarantined_problem(
    mode: str,
    quarantine: TableConfig | None,
    aggregate: AggregateConfig | None,
    quarantined: QuarantinedOptions | None,
) -> str:
    """Say why quarantined rows cannot be scored again in this way; "" where they can.

    Args:
        mode: The write mode.
        quarantine: Their table.
        aggregate: The summary of the predictions.
        quarantined: What is asked for.
    """
    if quarantined is None or not quarantined.enabled:
        return ""
    if quarantine is None:
        return "`quarantined` scores the rows of a quarantine table again: name it with `quarantine`"
    if MODES[mode].merges:
        return "a merge replaces rows by keys: score quarantined rows again with `source.where` instead"
    if aggregate is not None:
        return (
            "a summary has one row of a night for each group, and quarantined rows would have rows of their own beside "
            "them: leave `aggregate` out for this command (--set aggregate=null)"
        )
    return ""
