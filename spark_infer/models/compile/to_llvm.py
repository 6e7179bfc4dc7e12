"""From LightGBM's trees to machine code, by lleaves and LLVM; for the driver's kind of processor, without extensions.

https://lleaves.readthedocs.io
"""

from __future__ import annotations

import importlib.util
import platform
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from spark_infer.core.exception_text import describe_exception
from spark_infer.errors import EnvironmentProblem, ModelRefusedError, install_extra
from spark_infer.models.backends import compiled_trees
from spark_infer.models.backends.compiled_trees import LABELS, SCORES, VALUES
from spark_infer.models.compile.trees.lightgbm import compared

_THRESHOLDS = re.compile(r"^threshold=(.+)$", re.MULTILINE)
_DECISIONS = re.compile(r"^decision_type=(.+)$", re.MULTILINE)
_CATEGORICAL, _MISSING, _ZERO_IS_MISSING = 1, 12, 4
"""Bits of a decision, https://github.com/microsoft/LightGBM/blob/master/include/LightGBM/tree.h."""

_GENERIC = "generic"
"""The processor of LLVM that has what all processors of its kind have; trees gain nothing from the rest."""


def convert(estimator: Any, methods: Sequence[str], folder: Path) -> tuple[str, ...]:
    """Compile the trees of a LightGBM booster or estimator into a folder.

    Args:
        estimator: What LightGBM itself loads.
        methods: ``predict``, ``predict_proba`` or both.
        folder: Where the code goes.

    Returns:
        What to ask of the code for each method.

    Raises:
        ModelRefusedError: Its trees cannot be compiled.
        EnvironmentProblem: The compiler is not installed.
    """
    lacking = [name for name in ("lleaves", "llvmlite") if importlib.util.find_spec(name) is None]
    if lacking:
        raise EnvironmentProblem(
            f"`compile: llvm` needs {' and '.join(lacking)}, which the driver's Python does not have.",
            next_step=f"{install_extra('llvm')}, or leave `compile` out.",
        )
    import lleaves

    booster = getattr(estimator, "booster_", estimator)
    text = booster.model_to_string()
    _refuse_unlike(estimator, text)
    (folder / compiled_trees.MODEL).write_text(_THRESHOLDS.sub(_as_compared, text), encoding="utf-8")
    try:
        trees = lleaves.Model(model_file=str(folder / compiled_trees.MODEL))
        trees.compile(cache=str(folder / compiled_trees.CODE), target_cpu=_GENERIC, target_cpu_features="")
    except Exception as error:
        _refuse("lleaves does not take its trees", *describe_exception(error, show_values=False)[:1])
    classes = getattr(estimator, "classes_", None)
    compiled_trees.TreeFacts(
        machine=platform.machine(), classes=() if classes is None else tuple(np.asarray(classes).tolist())
    ).write(folder)
    if classes is None:
        return (VALUES,) * len(methods)
    return tuple(LABELS if method == "predict" else SCORES for method in methods)


def _as_compared(line: re.Match[str]) -> str:
    """Return a line of thresholds as LightGBM compares with them; it is the same line where none is near zero."""
    numbers = line[1].split(" ")
    return "threshold=" + " ".join(f"{compared(float(each))!r}" if "e-" in each else each for each in numbers)


def _refuse_unlike(estimator: Any, text: str) -> None:
    """Refuse trees that lleaves would take and answer otherwise."""
    if "\nis_linear=1" in text:
        _refuse("its leaves hold linear models")
    kinds = {int(number) for line in _DECISIONS.finditer(text) for number in line[1].split()}
    if any(kind & _CATEGORICAL for kind in kinds):
        _refuse("it splits on categories")
    if any(kind & _MISSING == _ZERO_IS_MISSING for kind in kinds):
        _refuse("it takes zeros for missing values")
    if hasattr(estimator, "classes_") and callable(getattr(estimator, "objective", None)):
        _refuse("an objective of the user's own returns raw scores")


def _refuse(why: str, *details: str) -> NoReturn:
    raise ModelRefusedError(
        f"The LightGBM model cannot be compiled: {why}.",
        details=details,
        next_step="leave `compile` out: LightGBM serves it.",
    )
