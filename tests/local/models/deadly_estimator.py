"""An estimator that does to its process what its input says."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin

SIGNALS = {600.0: signal.SIGSEGV, 700.0: signal.SIGKILL, 800.0: signal.SIGABRT}


class Deadly(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """Returns its input; fails, crashes, hangs or eats memory for some values.

    Args:
        room: How many rows there is memory for.
    """

    def __init__(self, room: int = 10**9) -> None:
        self.room = room

    def predict(self, inputs: Any) -> Any:
        """Predict, or do what one of the values says."""
        if len(inputs) > self.room:
            np.empty(2**50)
        column = np.asarray(inputs)[:, 0]
        values = set(column.tolist())
        if 500.0 in values:
            raise ValueError("500 is in the batch")
        for value in values & SIGNALS.keys():
            os.kill(os.getpid(), SIGNALS[value])
        if 900.0 in values:
            time.sleep(3600)
        eaten = []
        while 1000.0 in values:
            eaten.append(bytearray(2**26))
        return column
