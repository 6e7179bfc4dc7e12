"""A model with an output of each kind, computed exactly: no two libraries or versions may differ in an answer."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

OUTPUTS = (
    "half double, small float, twice long, count int, even boolean, word string, raw binary, due date, "
    "numbers array<long>"
)


def answer(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Give each row values that follow from its number alone."""
    number = batch.column("id")
    twice = pc.add(number, number)
    return pa.RecordBatch.from_pydict(
        {
            "half": pc.divide(pc.cast(number, pa.float64()), 2.0),
            "small": pc.divide(pc.cast(number, pa.float32()), pa.scalar(4, pa.float32())),
            "twice": twice,
            "count": pc.cast(number, pa.int32()),
            "even": pc.equal(pc.bit_wise_and(number, 1), 0),
            "word": pc.binary_join_element_wise("größe", pc.cast(number, pa.string()), " "),
            "raw": pc.cast(pc.cast(number, pa.string()), pa.binary()),
            "due": pc.cast(pc.cast(number, pa.int32()), pa.date32()),
            "numbers": pa.array([[each, 2 * each] for each in number.to_pylist()], pa.list_(pa.int64())),
        }
    )
