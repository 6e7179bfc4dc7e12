"""Whether a job scores only the rows that are new, and what it does where that alone is not enough."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from spark_infer.config.frozen import Frozen, NameList, rule
from spark_infer.config.write_modes import MODES


class IncrementalOptions(Frozen):
    """Score only the rows that are new since the version of the source that the target holds predictions of.

    Example:
        >>> IncrementalOptions(on_new_model="all")
        IncrementalOptions(enabled=True, on_new_model='all', by=(), deletes='keep')
    """

    plain_key: ClassVar[str] = "enabled"

    enabled: bool = Field(
        default=True, description="Whether only new rows are scored; `false` keeps the options below for another time."
    )
    on_new_model: Literal["new_rows", "all"] = Field(
        default="new_rows",
        description="What another model version, or other steps and options of `score`, do: `new_rows` scores new rows "
        "alone, and older rows keep their predictions; `all` scores every row of the source again.",
    )
    by: NameList = Field(
        default=(),
        description="Columns that tell rows apart, for mode `append`: where the source does not say which rows are "
        "new, those are scored whose values in these columns the target lacks. Without it the run is refused then.",
    )
    deletes: Literal["keep", "remove"] = Field(
        default="keep",
        description="What a merge does with predictions of rows that are gone from the source; `remove` needs the "
        "source's change data feed.",
    )

    @rule("by")
    @staticmethod
    def _each_key_once(by: tuple[str, ...]) -> str:
        folded = [name.casefold() for name in by]
        twice = [name for at, name in enumerate(by) if folded[at] in folded[:at]]
        return f"`incremental.by` names {twice[0]} twice: name each column once" if twice else ""


def key_problem(mode: str, keep: str | tuple[str, ...], incremental: IncrementalOptions | None) -> str:
    """Say what is wrong with `by`; empty where nothing is."""
    by = () if incremental is None else incremental.by
    if by and not MODES[mode].adds_only:
        return "`incremental.by` is for mode append: `keys` of a merge says which rows are the same"
    lacking = [name for name in by if keep != "all" and name not in keep]
    return f"`incremental.by` names {lacking[0]}, and `keep` lacks it" if lacking else ""


def quarantined_key_problem(on_error: str, incremental: IncrementalOptions | None) -> str:
    """Say that rows in quarantine are new to whoever looks for their keys in the target; empty where nobody does."""
    if incremental is None or not (incremental.enabled and incremental.by) or on_error != "quarantine":
        return ""
    return (
        "`incremental.by` scores rows whose keys the target lacks, and those of quarantined rows it lacks: set "
        "score.on_error to null, with which they are in the target without a prediction, or leave `incremental.by` out"
    )
