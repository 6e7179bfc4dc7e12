"""A model that hangs on purpose."""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import infer_signature

AWAKE = threading.Event()
"""Set when planning that hangs on purpose may end."""


@contextmanager
def planning_that_hangs(folder: Path) -> Iterator[str]:
    """A step whose module hangs while it is imported, as planning does; yields its name."""
    (folder / "hangs_on_import.py").write_text(
        "from tests.sleepy import AWAKE\nAWAKE.wait(60)\n\n\ndef step(batch):\n    return batch\n"
    )
    sys.path.insert(0, str(folder))
    AWAKE.clear()
    try:
        yield "hangs_on_import:step"
    finally:
        AWAKE.set()
        sys.path.remove(str(folder))
        sys.modules.pop("hangs_on_import", None)


def save_sleepy(folder: Path) -> str:
    """Save a model that sleeps for ever for 900, and in C with Python's lock held for 901; returns its folder."""
    example = pd.DataFrame({"x": np.arange(3.0)})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.pyfunc.save_model(
            folder,
            python_model=str(Path(__file__).parent / "local" / "models" / "sleepy.py"),
            signature=infer_signature(example, example["x"].rename("prediction")),
            pip_requirements=["pandas"],
        )
    return str(folder)
