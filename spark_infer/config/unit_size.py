"""How a run is cut into units."""

from __future__ import annotations

from pydantic import Field

from spark_infer.config.frozen import Frozen


class UnitOptions(Frozen):
    """How a run is cut into units: a unit that is done is never scored again."""

    seconds: float = Field(
        default=300.0,
        gt=0,
        allow_inf_nan=False,
        description="About how long a unit should take; what a kill costs at most. It is a guess from the bytes to "
        "read, 8 MiB a second for each slot: give a slow model less, or say `bytes`.",
    )
    bytes: int | None = Field(
        default=None, ge=1, description="Bytes of the source in a unit; overrules `seconds`. A task is never divided."
    )
