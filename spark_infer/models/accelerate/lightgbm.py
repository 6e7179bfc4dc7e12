"""A LightGBM booster asked a few trees at a time, which stay in the processor's first cache, to the same bits.

LightGBM takes each row through all trees before it looks at the next row: a model larger than the cache is read from
memory again for every row. Here all rows of a batch go through a few trees, then through the next few. LightGBM itself
says in which leaf a row ends; the leaves' values are added up in the order of the trees, as it does.
"""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from spark_infer.models.accelerate import together
from spark_infer.models.accelerate.accelerated import Fast
from spark_infer.models.accelerate.together import predicting, shares

if TYPE_CHECKING:
    import lightgbm

    from spark_infer.models.backends.native.lightgbm import LightgbmModel
    from spark_infer.models.backends.spec import LoadSpec

Floats = npt.NDArray[np.float64]

_CACHE_BYTES = 20 * 2**10
"""Trees that are asked at once; the rest of a cache of 32 KiB is for the row and LightGBM's own buffers."""
_NODE_BYTES = 29
"""A node's feature, threshold, children and kind of decision, and the value of a leaf."""
_LEAST_BLOCKS = 4
LEAST_ROWS = 2_000
"""Each block costs a call, a tenth of a millisecond."""
_MOST_ROWS = 16_384
_MOST_TREES = 20_000
_TIMED_ROWS = 512
_OTHER_ANSWERS = {"raw_score", "leaf_index", "contrib", "start_iteration", "num_iteration", "data_has_header"}


DISTRIBUTION = "lightgbm"
CHECKED = ">=4.6,<4.8"
HOW = "LightGBM's trees are asked a few at a time"


def find_fast(model: LightgbmModel, spec: LoadSpec) -> Fast | None:
    """Return a faster way to the answers of a booster, or of an estimator around one."""
    fast, how = model.estimator, []
    if fast is model.framework_model:
        fast = estimator_in_blocks(fast)
    else:
        trees = trees_in_blocks(model.booster)
        fast = fast if trees is None else BlockedBooster(model.booster, model.estimator.predict, trees)
    if fast is not model.estimator:
        how.append(HOW)
    if shares(fast, spec.methods):
        how.append(together.HOW)
    if not how:
        return None
    return Fast(
        how=", ".join(how),
        predict=predicting(fast, model.given, spec),
        least_rows=LEAST_ROWS if fast is not model.estimator else 1,
    )


def estimator_in_blocks(estimator: Any) -> Any:
    """Return an estimator that asks its booster a few trees at a time; itself where that is not known to be right."""
    booster = estimator.booster_
    trees = trees_in_blocks(booster)
    if trees is None:
        return estimator
    fast = copy.copy(estimator)  # which shares the booster
    fast._Booster = BlockedBooster(booster, booster.predict, trees)
    return fast


def trees_in_blocks(booster: lightgbm.Booster) -> Trees | None:
    """Return the trees of a booster, in blocks; None where they are too few, or more than sums of leaves."""
    if not 0 < booster.num_trees() <= _MOST_TREES:
        return None
    trees = _read_trees(booster.model_to_string(num_iteration=-1))
    return trees if trees is not None and len(trees.starts) >= _LEAST_BLOCKS else None


class Trees:
    """What is known of a booster's trees.

    Attributes:
        leaves: The values of each tree's leaves.
        classes: Trees of an iteration, and raw scores of a row.
        starts: The first iteration of each block.
        convert: Makes answers of raw scores.
    """

    def __init__(self, leaves: Sequence[Floats], classes: int, convert: Callable[[Floats], Floats]) -> None:
        self.leaves, self.classes, self.convert = leaves, classes, convert
        each = max(len(values) for values in leaves) * _NODE_BYTES * classes
        self.step = max(1, _CACHE_BYTES // each)
        self.starts = range(0, len(leaves) // classes, self.step)


class BlockedBooster:
    """Stands for a booster, whose trees it asks a few at a time, as long as that is faster than all at once.

    Args:
        booster: The booster, for all but `predict`.
        predict: Asks all of its trees.
        trees: Its trees, in blocks.
    """

    def __init__(self, booster: lightgbm.Booster, predict: Callable[..., Any], trees: Trees) -> None:
        self._booster, self._whole, self._trees = booster, predict, trees
        self._pays: bool | None = None

    def __getattr__(self, name: str) -> Any:
        """Return what the booster has."""
        return getattr(self._booster, name)

    def predict(self, data: Any, *given: Any, **named: Any) -> Any:
        """Answer as the booster does."""
        asked = not given and not any(
            value for name, value in named.items() if name in _OTHER_ANSWERS or "pred" in name
        )
        rows = isinstance(data, np.ndarray) and data.ndim == 2 and data.dtype in (np.float32, np.float64)
        if self._pays is False or not asked or not rows:
            return self._whole(data, *given, **named)
        if self._pays is None and len(data) >= LEAST_ROWS:
            return self._timed(data, named)
        return self._answers(data, named)

    def _timed(self, data: npt.NDArray[Any], named: dict[str, Any]) -> Any:
        """Find out whether it pays; the first batch tells."""
        begin = perf_counter()
        found = self._answers(data, named)
        middle = perf_counter()
        self._whole(data[:_TIMED_ROWS], **named)
        whole_seconds = (perf_counter() - middle) / _TIMED_ROWS * len(data)
        self._pays = middle - begin < whole_seconds
        return found

    def _answers(self, data: npt.NDArray[Any], named: dict[str, Any]) -> Floats:
        parts = [self._scores(data[at : at + _MOST_ROWS], named) for at in range(0, len(data), _MOST_ROWS)]
        scores = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return self._trees.convert(scores)

    def _scores(self, rows: npt.NDArray[Any], named: dict[str, Any]) -> Floats:
        """Raw scores, (rows,) or (rows, classes)."""
        trees = self._trees
        rows = np.ascontiguousarray(rows)
        last = len(trees.leaves) // trees.classes
        if self._booster.best_iteration > 0:
            last = min(last, self._booster.best_iteration)
        scores: Floats = np.zeros((trees.classes, len(rows)))
        for start in trees.starts:
            count = min(trees.step, last - start)
            if count <= 0:
                break
            asked = {**named, "pred_leaf": True, "start_iteration": start, "num_iteration": count}
            reached = np.asarray(self._whole(rows, **asked)).reshape(len(rows), -1)
            for number, leaf in enumerate(reached.T, start * trees.classes):
                scores[number % trees.classes] += trees.leaves[number].take(leaf)
        return scores.reshape(-1) if trees.classes == 1 else scores.T


def _read_trees(text: str) -> Trees | None:
    """Read a model's text; None where answers are more than the sum of leaves."""
    head, *trees = re.split(r"^Tree=\d+$", text, flags=re.MULTILINE)
    facts = dict(line.partition("=")[::2] for line in head.splitlines())
    classes = int(facts.get("num_tree_per_iteration", "0"))
    convert = _conversion(facts.get("objective", ""), classes)
    if convert is None or classes < 1 or not trees or len(trees) % classes or "average_output" in facts:
        return None
    leaves = []
    for tree in trees:
        found = dict(line.partition("=")[::2] for line in tree.partition("\n\n\n")[0].splitlines())
        if found.get("is_linear", "0") != "0" or "leaf_value" not in found:
            return None
        leaves.append(np.array(found["leaf_value"].split(), dtype=np.float64))
    return Trees(leaves, classes, convert)


def _conversion(objective: str, classes: int) -> Callable[[Floats], Floats] | None:
    """How an objective makes answers of raw scores; None where that is not known."""
    name, *options = objective.split()
    if name in _AS_THEY_ARE and not options and classes == 1:
        return _same
    if name in _EXPONENTIAL and classes == 1:
        return _exp
    if name == "binary" and classes == 1:
        sigmoid = float(dict(option.partition(":")[::2] for option in options).get("sigmoid", "nan"))
        return (lambda scores: 1.0 / (1.0 + _exp(-sigmoid * scores))) if sigmoid > 0 else None
    if name == "multiclass" and classes > 1:
        return _softmax
    return None


_AS_THEY_ARE = ("regression", "regression_l1", "huber", "fair", "quantile", "mape", "lambdarank", "rank_xendcg")
_EXPONENTIAL = ("poisson", "gamma", "tweedie")


def _same(scores: Floats) -> Floats:
    return scores


def _softmax(scores: Floats) -> Floats:
    grown = _exp(scores - scores.max(axis=1, keepdims=True))
    total = np.zeros(len(grown))
    for column in grown.T:
        total += column
    return np.ascontiguousarray(grown / total[:, None])


def _exp(values: Floats) -> Floats:
    """The C library's own exponential, which is LightGBM's; numpy's may differ in the last bit."""
    flat = values.ravel().tolist()
    try:
        found = np.fromiter(map(math.exp, flat), np.float64, len(flat))
    except OverflowError:
        found = np.fromiter(map(_one_exp, flat), np.float64, len(flat))
    return found.reshape(values.shape)


def _one_exp(value: float) -> float:
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf
