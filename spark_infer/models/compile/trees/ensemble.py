"""An ensemble of binary trees as arrays: what LightGBM, XGBoost and scikit-learn have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NoReturn

import numpy as np
import numpy.typing as npt

from spark_infer.errors import ModelRefusedError

Link = Literal["identity", "sigmoid", "softmax", "exp", "signed_square", "argmax"]
Above = Literal["half", "zero", "zero_or_more"]


@dataclass(frozen=True, kw_only=True)
class Tree:
    """One tree; its root is node 0.

    Attributes:
        feature: Column that each node looks at.
        threshold: What it compares with, exactly.
        left: Next node where the comparison holds; -1 makes the node a leaf.
        right: Next node where it does not.
        nan_left: Whether a missing value goes left.
        value: What each leaf adds, of shape (nodes, values); others are not looked at.
        target: The output that the first value adds to.
    """

    feature: npt.NDArray[np.int64]
    threshold: npt.NDArray[np.float64]
    left: npt.NDArray[np.int64]
    right: npt.NDArray[np.int64]
    nan_left: npt.NDArray[np.bool_]
    value: npt.NDArray[np.float64]
    target: int = 0


@dataclass(frozen=True, kw_only=True)
class Ensemble:
    """Trees, and what becomes of their sums: ``link(sum / divisor + base)``.

    Attributes:
        trees: The trees.
        width: Columns that it takes.
        base: What is added to each sum; its length is the number of sums.
        divisor: Number of trees where they are averaged.
        single: Whether values are rounded to float32 before they are compared.
        strict: Whether left is ``value < threshold``, in place of ``<=``.
        link: From sums to what is returned.
        scale: What sums are multiplied by before a sigmoid.
        classes: Labels of a classifier; None for one that returns numbers.
        above: When a classifier with one sum answers its second class.
    """

    trees: Sequence[Tree]
    width: int
    base: npt.NDArray[np.float64]
    divisor: float = 1.0
    single: bool = False
    strict: bool = False
    link: Link = "identity"
    scale: float = 1.0
    classes: npt.NDArray[Any] | None = None
    above: Above = "half"


def refuse(model: str, why: str) -> NoReturn:
    """Refuse an ensemble that ONNX would not follow exactly.

    Raises:
        ModelRefusedError: Always.
    """
    raise ModelRefusedError(
        f"The {model} model cannot be compiled: {why}.", next_step="leave `compile` out: its own library serves it."
    )
