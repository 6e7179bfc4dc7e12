"""What a worker must know of a plain Python model, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

BatchFormat = Literal["auto", "numpy", "pandas", "pyarrow"]

PICKLE = "callable.pkl"
"""File of a model's folder with code that is not imported."""


@dataclass(frozen=True, kw_only=True)
class PythonCode:
    """Where the code of a plain Python model is, and how it is fed.

    Attributes:
        target: ``module:name`` of what is imported where it runs; "" for code that lies pickled in the model's folder.
        modules: Those whose packages must have the same source everywhere: of the target, or that the pickle names.
        sources: Digest of these sources.
        batch_format: What it gets.
        arguments: Of the constructor of a class.
    """

    target: str
    modules: tuple[str, ...]
    sources: str
    batch_format: BatchFormat
    arguments: Mapping[str, Any] = field(default_factory=dict, repr=False)
