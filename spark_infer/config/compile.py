"""Whether the model is compiled."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from spark_infer.config.frozen import Frozen


class CompileOptions(Frozen):
    """What the model is compiled to, and how far its answers may differ.

    Example:
        >>> CompileOptions(bound=1e-4)
        CompileOptions(to='onnx', bound=0.0001)
    """

    plain_key: ClassVar[str] = "to"

    to: Literal["onnx"] = Field(default="onnx", description="What the model is compiled to.")
    bound: float = Field(
        default=1e-5,
        ge=0,
        allow_inf_nan=False,
        description="Largest difference of a number from the original's, relative above 1. Labels must be equal.",
    )
