"""How many rows are scored at once, where what a model returns of them may be larger than they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import pyarrow as pa


class OutputLimit:
    """Bounds the outputs of the rows that are held together: a window, or batches whose equal rows are predicted once.

    Outputs of fixed width are not looked at. How wide others are is seen from the first rows on, and wider ones correct
    that.

    Args:
        outputs: The columns that the model returns.
        max_bytes: The most bytes of outputs.
        first_rows: How many rows go first, as long as nothing is known; None for any number.
    """

    def __init__(self, outputs: pa.Schema, max_bytes: int, *, first_rows: int | None = None) -> None:
        self._varies = any(not _is_of_fixed_width(field.type) for field in outputs)
        self.rows = first_rows if self._varies else None
        self._max_bytes, self._widest = max_bytes, 1.0

    def note(self, outputs: pa.RecordBatch) -> None:
        """Learn from outputs how wide they are."""
        if self._varies and outputs.num_rows:
            self._widest = max(self._widest, outputs.nbytes / outputs.num_rows)
            self.rows = max(1, int(self._max_bytes / self._widest))

    def cut(self, batches: Iterable[pa.RecordBatch], *, together: Callable[[], int]) -> Iterator[pa.RecordBatch]:
        """Cut batches whose outputs would be too large.

        Args:
            batches: Batches of rows; each is cut when it is asked for, by what is known then.
            together: How many of them are held at once.
        """
        for batch in batches:
            while self.rows is not None and batch.num_rows > (rows := max(1, self.rows // together())):
                yield batch.slice(0, rows)
                batch = batch.slice(rows)
            yield batch


def _is_of_fixed_width(data_type: pa.DataType) -> bool:
    return bool(pa.types.is_primitive(data_type) or pa.types.is_decimal(data_type) or pa.types.is_null(data_type))
