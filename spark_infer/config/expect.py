"""What predictions have to look like: bounds beyond which a job stops."""

from __future__ import annotations

from pydantic import Field

from spark_infer.config.frozen import Frozen, rule


class ExpectedColumn(Frozen):
    """What one prediction column has to look like; null and NaN are of no range.

    Example:
        >>> ExpectedColumn(min=0, max=1, max_null_fraction=0.01)
        ExpectedColumn(min=0.0, max=1.0, max_null_fraction=0.01, not_constant=False)
    """

    min: float | None = Field(default=None, allow_inf_nan=False, description="The least value there may be.")
    max: float | None = Field(default=None, allow_inf_nan=False, description="The largest value there may be.")
    max_null_fraction: float | None = Field(
        default=None, ge=0, le=1, description="The largest share of rows whose prediction is null or NaN."
    )
    not_constant: bool = Field(default=False, description="Whether it is an error that all rows have one value.")

    @rule("min", "max")
    @staticmethod
    def _is_a_range(least: float | None, most: float | None) -> str:
        return "`min` is larger than `max`" if least is not None and most is not None and least > most else ""
