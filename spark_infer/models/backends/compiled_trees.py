"""Trees that were compiled on the driver to machine code, which lleaves loads.

Their folder holds `trees.o`, `trees.txt`, `trees.json` and the `compiled.json` of every compiled estimator; LightGBM is
not needed.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from spark_infer.errors import ModelLoadError
from spark_infer.models.backends.compiled import MATRIX, CompiledModel, Facts
from spark_infer.models.backends.spec import LoadSpec

if TYPE_CHECKING:
    from lleaves import Model

CODE = "trees.o"
MODEL = "trees.txt"
FACTS = "trees.json"

VALUES, SCORES, LABELS = "values", "scores", "labels"
"""What can be asked for: what the trees return, a matrix of the scores of all classes, or the best class."""


@dataclass(frozen=True, kw_only=True)
class TreeFacts:
    """What `trees.json` says.

    Attributes:
        machine: The processor that the code is for, as `platform.machine()` names it.
        classes: The classes of a classifier.
    """

    machine: str
    classes: tuple[Any, ...] = ()

    def write(self, folder: Path) -> None:
        """Write the file."""
        (folder / FACTS).write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> TreeFacts:
        """Read the file."""
        saved = json.loads((folder / FACTS).read_bytes())
        return cls(machine=saved["machine"], classes=tuple(saved["classes"]))


def load(spec: LoadSpec, folder: Path) -> CompiledModel:
    """Load the code.

    Raises:
        ModelLoadError: It is for another processor.
    """
    import lleaves

    facts = TreeFacts.read(folder)
    if facts.machine != platform.machine():
        raise ModelLoadError(
            f"The model was compiled for {facts.machine}, and this worker has {platform.machine()}.",
            next_step="use workers with the driver's kind of processor, or leave `compile: llvm` out.",
        )
    trees = lleaves.Model(model_file=str(folder / MODEL))
    trees.compile(cache=str(folder / CODE))
    return CompiledModel(Trees(trees, facts, spec.threads), Facts.read(folder), spec)


class Trees:
    """Compiled trees, asked as a session of ONNX Runtime is.

    Args:
        trees: The trees.
        facts: What is known of them.
        threads: Threads of the task.
    """

    def __init__(self, trees: Model, facts: TreeFacts, threads: int) -> None:
        self._trees, self._threads = trees, threads
        self._classes = np.array(facts.classes, object) if facts.classes else None

    def run(self, ports: Sequence[str], feeds: Mapping[str, npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        """Predict the rows of a matrix, and return what each port asks for."""
        rows = feeds[MATRIX]
        # A thread for each row at most, and lleaves takes no rows on one thread alone.
        values = self._trees.predict(rows, n_jobs=max(1, min(self._threads, len(rows))))
        return [self._answer(port, values) for port in ports]

    def _answer(self, port: str, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        if port == VALUES:
            return values
        scores = np.column_stack([1.0 - values, values]) if values.ndim == 1 else values
        if port == SCORES:
            return scores
        assert self._classes is not None
        labels: npt.NDArray[Any] = self._classes[np.argmax(scores, axis=1)]
        return labels
