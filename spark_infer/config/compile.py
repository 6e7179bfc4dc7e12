"""Whether the model is compiled, to what, and how far its answers may differ then."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from spark_infer.config.frozen import Frozen


class CompileOptions(Frozen):
    """What the model is compiled to, and how far its answers may differ.

    Example:
        >>> CompileOptions(to="int8", cosine=0.98).cosine
        0.98
    """

    plain_key: ClassVar[str] = "to"

    to: Literal["onnx", "llvm", "int8", "bfloat16", "float16"] = Field(
        default="onnx",
        description="What the model is compiled to: `onnx`, a graph for ONNX Runtime; `llvm`, machine code, for "
        "LightGBM's trees; `int8`, a graph with weights of eight bits, for models of texts; `bfloat16` or `float16`, "
        "PyTorch's model with such numbers.",
    )
    bound: float | None = Field(
        default=None,
        ge=0,
        allow_inf_nan=False,
        description="Largest difference of a number from the original's, relative above 1. By default 1e-5; of deep "
        "models 1e-4 with `onnx`, 0.1 with `int8`, 0.05 with `bfloat16` and 0.01 with `float16`.",
    )
    cosine: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Least cosine similarity of an embedding with the original's. By default 0.9999 with `onnx`, "
        "0.95 with `int8`, 0.99 with `bfloat16` and 0.999 with `float16`.",
    )
    equal_labels: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Least share of rows whose labels, texts and whole numbers are the original's. By default 1; 0.98 "
        "with `int8`, 0.99 with `bfloat16` and `float16`.",
    )
