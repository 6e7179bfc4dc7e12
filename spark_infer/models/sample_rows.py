"""Real rows of a table, to compare models on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

SAMPLE_ROWS = 2_000


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Rows, and where they come from.

    Attributes:
        batches: The rows; one batch for each place.
        places: What each batch is the beginning of, for messages: ``part-00000.parquet``.
    """

    batches: Sequence[pa.RecordBatch]
    places: Sequence[str]

    @property
    def rows(self) -> int:
        """How many there are."""
        return sum(batch.num_rows for batch in self.batches)

    def first(self, most: int) -> Sample:
        """Return the first rows of each batch, so many in all; more of the larger ones where others have too few."""
        kept = [*self.batches]
        smallest_first = sorted(range(len(kept)), key=lambda index: kept[index].num_rows)
        for number, index in enumerate(smallest_first):
            kept[index] = kept[index].slice(0, -(-most // (len(kept) - number)))
            most -= kept[index].num_rows
        return Sample(batches=kept, places=self.places)

    def place(self, row: int) -> str:
        """Say which row of the table a row of the sample is."""
        for batch, place in zip(self.batches, self.places, strict=True):
            if row < batch.num_rows:
                return f"row {row} of {place}"
            row -= batch.num_rows
        raise IndexError("the sample has not so many rows")
