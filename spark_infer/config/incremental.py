"""Whether a job scores only the rows that are new, and what it does where that alone is not enough."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from spark_infer.config.frozen import Frozen


class IncrementalOptions(Frozen):
    """Score only the rows that are new since the version of the source that the target holds predictions of.

    Example:
        >>> IncrementalOptions(on_new_model="all")
        IncrementalOptions(enabled=True, on_new_model='all', deletes='keep')
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
    deletes: Literal["keep", "remove"] = Field(
        default="keep",
        description="What a merge does with predictions of rows that are gone from the source; `remove` needs the "
        "source's change data feed.",
    )
