"""What predictions look like, while they are made: within the bounds of the job, and not all the same."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from spark_infer.config.expect import ExpectedColumn
from spark_infer.core.bad_rows import ALWAYS_JUDGED
from spark_infer.core.stats import Stats
from spark_infer.errors import PlanError, UnexpectedPredictionsError, nearest

MANY = 1_000
"""Rows from which on it is worth a warning that all have the same prediction."""

MISSING = "missing"
ROWS = "rows"
_SAME = "same "
_NOTHING = f"{_SAME}nothing"
_DIGITS = 8

OutputCounts = Mapping[str, Mapping[str, int]]
"""Column to what was counted of it: its rows and those that are null or NaN, and how many rows have one value."""


class Watch:
    """Looks at the predictions of one task, batch by batch.

    A column that is seen to vary is not looked at any more, unless the job expects something of it.

    Args:
        outputs: The prediction columns.
        expected: What the job expects of some.
        stats: Takes what is counted.
    """

    def __init__(self, outputs: pa.Schema, expected: Mapping[str, ExpectedColumn], stats: Stats) -> None:
        self._unvarying = {each.name: "" for each in outputs if not pa.types.is_nested(each.type)}
        self._expected = expected
        self._stats = stats
        self._counted = {name: Counter[str]() for name in expected}  # of the whole task: the stats may be taken before

    def look(self, outputs: pa.RecordBatch, errors: pa.Array | None) -> None:
        """Look at a batch, bad rows apart.

        Raises:
            UnexpectedPredictionsError: A value is out of its range, or too many are null or NaN.
        """
        if not (self._unvarying or self._expected):
            return
        if errors is not None:
            outputs = outputs.filter(errors.is_null())
        if not outputs.num_rows:
            return
        for name in [*self._unvarying]:
            self._compare(name, outputs.column(name))
        for name, expected in self._expected.items():
            self._count(name, outputs.column(name), expected)

    def _compare(self, name: str, values: pa.Array) -> None:
        first, last = _key(values[0]), _key(values[-1])
        before = self._unvarying[name] or first
        if not first == last == before or (len(values) > 2 and not _is_one(values, values[0])):
            del self._unvarying[name]
            self._stats.outputs[name].pop(f"{_SAME}{before}", None)
            return
        self._unvarying[name] = first
        self._stats.outputs[name][f"{_SAME}{first}"] += len(values)

    def _count(self, name: str, values: pa.Array, expected: ExpectedColumn) -> None:
        missing = values.null_count
        if pa.types.is_floating(values.type):
            missing += pc.sum(pc.is_nan(values)).as_py() or 0
        found = {ROWS: len(values), MISSING: missing}
        self._stats.outputs[name].update(found)
        self._counted[name].update(found)
        if expected.min is not None or expected.max is not None:
            bounds = pc.min_max(values if missing == values.null_count else values.filter(pc.invert(pc.is_nan(values))))
            self._refuse_range(name, bounds, expected)
        refuse_missing({name: self._counted[name]}, {name: expected})

    def _refuse_range(self, name: str, found: pa.StructScalar, expected: ExpectedColumn) -> None:
        least, most = found["min"].as_py(), found["max"].as_py()
        if least is not None and expected.min is not None and least < expected.min:
            raise UnexpectedPredictionsError.of_column(name, "a value is below the range", f"min is {expected.min:g}")
        if most is not None and expected.max is not None and most > expected.max:
            raise UnexpectedPredictionsError.of_column(name, "a value is above the range", f"max is {expected.max:g}")


def refuse_missing(counts: OutputCounts, expected: Mapping[str, ExpectedColumn]) -> None:
    """See that not too many predictions are null or NaN.

    Raises:
        UnexpectedPredictionsError: They are.
    """
    for name, wanted in expected.items():
        counted = counts.get(name, {})
        rows, missing, most = counted.get(ROWS, 0), counted.get(MISSING, 0), wanted.max_null_fraction
        if most is not None and missing > most * max(rows, ALWAYS_JUDGED):
            what = f"{missing:,} of the first {rows:,} rows are null or NaN"
            raise UnexpectedPredictionsError.of_column(name, what, f"max_null_fraction is {most:g}")


def refuse_constant(counts: OutputCounts, rows: int, expected: Mapping[str, ExpectedColumn]) -> None:
    """See that predictions vary.

    Raises:
        UnexpectedPredictionsError: They do not.
    """
    for name, _ in unvarying(counts, rows):
        if rows >= ALWAYS_JUDGED and name in expected and expected[name].not_constant:
            what = f"all of the first {rows:,} rows have one value"
            raise UnexpectedPredictionsError.of_column(name, what, "not_constant is true")


def unvarying(counts: OutputCounts, rows: int) -> Iterator[tuple[str, bool]]:
    """Yield the columns that have one value in all of some rows, each with whether that is null or NaN."""
    for name, counted in counts.items():
        same = [key for key, count in counted.items() if key.startswith(_SAME) and count == rows > 0]
        yield from ((name, key == _NOTHING) for key in same)


def check_expected(outputs: pa.Schema, expected: Mapping[str, ExpectedColumn]) -> None:
    """See that the columns are there of which a job expects something.

    Raises:
        PlanError: They are not, or have no range.
    """
    for name, wanted in expected.items():
        if name not in outputs.names:
            raise PlanError(
                f"`expect` names {name!r}, which is not a prediction column{nearest(name, outputs.names)}.",
                details=[f"prediction columns: {', '.join(outputs.names)}"],
                next_step="correct the name.",
            )
        kind = outputs.field(name).type
        ranged = wanted.min is not None or wanted.max is not None
        if pa.types.is_nested(kind) or (ranged and not (pa.types.is_integer(kind) or pa.types.is_floating(kind))):
            what = "a range" if ranged else "something"
            raise PlanError(
                f"`expect` asks for {what} of {name!r}, which is {kind}.",
                next_step="take it out; or bring the number into a column of its own with a postprocess step.",
            )


def _key(value: pa.Scalar) -> str:
    """A short name for a value, which does not show it."""
    plain: Any = value.as_py()
    if plain is None or plain != plain:
        return _NOTHING.removeprefix(_SAME)
    return hashlib.sha256(repr(plain).encode()).hexdigest()[:_DIGITS]


def _is_one(values: pa.Array, first: pa.Scalar) -> bool:
    """Whether all values are the first one; null and NaN are alike."""
    if _key(first) != _NOTHING.removeprefix(_SAME):
        return bool(values.null_count == 0 and pc.all(pc.equal(values, first)).as_py())
    if not pa.types.is_floating(values.type):
        return bool(values.null_count == len(values))
    return bool(pc.all(pc.is_null(values, nan_is_null=True)).as_py())
