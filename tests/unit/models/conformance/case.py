"""A case of the conformance suite: a real model, rows for it, and what may differ from its pyfunc."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa


@dataclass(frozen=True, kw_only=True)
class Case:
    """One model of one flavor.

    Attributes:
        name: What it is, a few words.
        save: Trains the model and saves it with MLflow into a folder; returns rows to predict, as a pandas frame.
        backend: Which backend must serve it.
        because: Words that the plan's reason must hold where pyfunc serves a flavor that has a native backend.
        rtol: Largest relative difference of a number from the pyfunc's; 0 asks for equal bits.
        atol: Largest absolute difference of a number, where that is larger: for the elements of vectors near zero.
        options: Options of the scoring.
        params: Inference parameters, given to both.
        declares: Columns that are returned where the signature says otherwise.
        returns: Columns that a model without a signature returns, where only the user could say.
    """

    name: str
    save: Callable[[Path], Any]
    backend: str
    because: str = ""
    rtol: float = 0.0
    atol: float = 0.0
    options: tuple[tuple[str, Any], ...] = ()
    params: tuple[tuple[str, Any], ...] = ()
    returns: pa.Schema | None = None
    declares: pa.Schema | None = None
