"""Functions that tests name as `module:function`; Python workers import them too."""

import pyarrow as pa
import pyarrow.compute as pc


def double(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Turn ``half_x`` columns into ``x`` columns of twice the value."""
    halves = [name for name in batch.schema.names if name.startswith("half_")]
    arrays = [pc.multiply(batch.column(name), 2.0) for name in halves]
    return pa.RecordBatch.from_arrays(arrays, names=[name.removeprefix("half_") for name in halves])


def lose(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Lose every row."""
    return batch.slice(0, 0)


def double_boats(batch: pa.RecordBatch) -> pa.RecordBatch:
    doubled = [pc.multiply(batch.column(f"half_{name}"), 2.0) for name in ("age", "fare")]
    return pa.RecordBatch.from_arrays([batch.column("sex"), *doubled], names=["sex", "age", "fare"])


def same(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Change nothing."""
    return batch
