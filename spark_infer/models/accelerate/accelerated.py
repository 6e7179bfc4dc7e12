"""When a faster way to a model's answers is taken: asked for, checked with the installed versions, and seen to agree.

A file here that is named after a backend is a `Library`: it knows how models of that backend are asked faster, and
may rely on the insides of that library. `accelerated` is the one function that loads models through it. The plain
model stays beside the fast way: both answer the first rows that arrive, and one different bit turns the fast way off.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
import pyarrow as pa
from packaging.specifiers import SpecifierSet

from spark_infer.core.outputs import Predictions
from spark_infer.models.installed import installed_version

if TYPE_CHECKING:
    from spark_infer.models.backends.spec import LoadedModel, LoadSpec

logger = logging.getLogger(__name__)

COMPARED_ROWS = 512
"""Rows that both ways answer, in each process that loads the model."""
OFF = "off, as asked for"
_BACKENDS = ("lightgbm", "sklearn", "xgboost")


@dataclass(frozen=True, kw_only=True)
class Fast:
    """A faster way to a model's answers.

    Attributes:
        how: What is done, for the plan and the report.
        predict: Answers a batch with the same bits as the plain model.
        least_rows: The plain model answers smaller batches: the fast way does not pay for them.
        batch_rows: Rows of a batch that it is fastest with; None where that is as for the plain model.
    """

    how: str
    predict: Callable[[pa.RecordBatch], Predictions]
    least_rows: int = 1
    batch_rows: int | None = None


class Library(Protocol):
    """What a file of this folder that is named after a backend offers."""

    DISTRIBUTION: str
    CHECKED: str
    """The versions that it was checked with."""

    def find_fast(self, model: Any, spec: LoadSpec) -> Fast | None:
        """Return a faster way to the answers of a loaded model, which stays as it is; None where none is known."""


def accelerated(model: LoadedModel, spec: LoadSpec) -> LoadedModel:
    """Return a loaded model with a faster way to its answers, where there is one that may be taken.

    Args:
        model: The plain model.
        spec: How it was loaded.
    """
    if not spec.accelerate or spec.backend not in _BACKENDS:
        return model
    library = cast("Library", importlib.import_module(f"{__package__}.{spec.backend}"))
    why_not = unchecked(library.DISTRIBUTION, library.CHECKED)
    if why_not is not None:
        return cast("LoadedModel", Accelerated(model, None, why_not))
    try:
        fast = library.find_fast(model, spec)
    except Exception as error:  # the library has changed inside; the model itself loaded
        logger.warning("No faster way for %s: looking for one raised %s.", spec.backend, type(error).__name__)
        return cast("LoadedModel", Accelerated(model, None, f"off, since looking for it raised {type(error).__name__}"))
    return model if fast is None else cast("LoadedModel", Accelerated(model, fast, fast.how))


def unchecked(distribution: str, checked: str) -> str | None:
    """Say why the installed version of a library may not be accelerated; None where it was checked."""
    installed = installed_version(distribution)
    if installed is None:
        return f"off, since the version of {distribution} is not known"
    if SpecifierSet(checked).contains(installed, prereleases=True):
        return None
    return f"off, since {distribution} {installed} is installed and it was checked with {checked}"


def full_name(part: Any) -> str:
    """Return the name of an object's class, with its module."""
    return f"{type(part).__module__}.{type(part).__qualname__}"


class Accelerated:
    """A loaded model and a faster way to its answers, which it takes as long as the answers are the same.

    Args:
        plain: The model.
        fast: The faster way; None has the model answer.
        acceleration: What is done, or why nothing is; for the plan and the report.

    Attributes:
        difference: How the fast way was seen to answer otherwise, which turned it off; None where it was not.
    """

    def __init__(self, plain: LoadedModel, fast: Fast | None, acceleration: str) -> None:
        self._plain, self._fast = plain, fast
        self._left = COMPARED_ROWS
        self.acceleration = acceleration
        self.batch_rows = (fast and fast.batch_rows) or getattr(plain, "batch_rows", None)
        self.difference: str | None = None

    def __getattr__(self, name: str) -> Any:
        """Return what the plain model has: ``how``, ``outputs`` and what only some models have."""
        return getattr(self._plain, name)

    def close(self) -> None:
        """Let go of the model."""
        self._fast = None
        self._plain.close()

    def predict(self, inputs: pa.RecordBatch) -> Predictions:
        """Predict one batch.

        Raises:
            Exception: What the plain model raises.
        """
        if self._fast is not None and self._left > 0:
            self._compare(self._fast, inputs.slice(0, self._left))
        fast = self._fast
        if fast is None or inputs.num_rows < fast.least_rows:
            return self._plain.predict(inputs)
        try:
            return fast.predict(inputs)
        except Exception as error:
            answers = self._plain.predict(inputs)  # which says what is wrong, where the rows are
            self._turn_off(f"it raised {type(error).__name__} for rows that the model predicts")
            return answers

    def _compare(self, fast: Fast, rows: pa.RecordBatch) -> None:
        expected = self._plain.predict(rows)
        try:
            found = fast.predict(rows)
        except Exception as error:
            self._turn_off(f"it raised {type(error).__name__} for rows that the model predicts")
            return
        self._left -= rows.num_rows
        if not same_bits(found, expected):
            self._turn_off(f"its answers to {rows.num_rows} rows were not those of the model, bit for bit")

    def _turn_off(self, difference: str) -> None:
        self.difference = f"{self.acceleration}: {difference}"
        self.acceleration = f"off, since {difference}"
        self._fast = None
        logger.warning("Acceleration is turned off (%s).", self.difference)


def same_bits(found: Any, expected: Any) -> bool:
    """Whether two answers of a model are the same to the last bit."""
    if isinstance(expected, dict):
        same_names = isinstance(found, dict) and list(found) == list(expected)
        return same_names and all(same_bits(found[name], expected[name]) for name in expected)
    if isinstance(expected, Sequence) and not isinstance(expected, str | bytes):  # one array for each output
        alike = isinstance(found, Sequence) and len(found) == len(expected)
        return alike and all(map(same_bits, found, expected))
    one, other = np.asarray(found), np.asarray(expected)
    if (one.dtype, one.shape) != (other.dtype, other.shape):
        return False
    return one.tolist() == other.tolist() if one.dtype == object else one.tobytes() == other.tobytes()
