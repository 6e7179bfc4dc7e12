"""What the Spark tests share: real models, and the log of the counting one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class FlowerModel:
    """A classifier on three doubles, saved as an MLflow model, and the rows to score with it."""

    folder: str
    rows: pd.DataFrame
    expected: dict[int, str]

    @property
    def inputs(self) -> list[str]:
        """Names of the model's columns, in its order."""
        return [name for name in self.rows.columns if name != "id"]


@dataclass(frozen=True)
class CountingModel:
    """A pyfunc that logs its loads and predictions."""

    folder: str
    log: Path

    def forget(self) -> None:
        """Start counting again."""
        self.log.write_text("")

    def loads(self) -> list[int]:
        """Process id of each load."""
        return [int(line.split()[1]) for line in self.log.read_text().splitlines() if line.startswith("load")]

    def predicts(self) -> list[tuple[int, int]]:
        """Process id and rows of each predict."""
        lines = [line.split() for line in self.log.read_text().splitlines() if line.startswith("predict")]
        return [(int(pid), int(rows)) for _, pid, rows in lines]

    def rows(self) -> int:
        """Rows predicted so far."""
        return sum(rows for _, rows in self.predicts())


BIG = 2**53 + 1


def iris_like(rows: int) -> pd.DataFrame:
    """Rows with ids beyond what a double can hold."""
    rng = np.random.default_rng(3)
    frame = pd.DataFrame(rng.normal(size=(rows, 3)), columns=["width", "height", "weight"])
    return frame.assign(id=np.arange(BIG, BIG + rows))
