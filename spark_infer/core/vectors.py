"""Spark ML vectors in Arrow: dense and sparse ones as arrays of doubles.

Spark sends a vector as ``struct<type, size, indices, values>``: type 0 is sparse, with as many indices as values; type
1 is dense, with values alone (`pyspark.ml.linalg.VectorUDT.sqlType`).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

_FIELDS = (
    ("type", pa.int8()),
    ("size", pa.int32()),
    ("indices", pa.list_(pa.int32())),
    ("values", pa.list_(pa.float64())),
)
MAX_DENSE_BYTES = 2**31


def is_vector(data_type: pa.DataType) -> bool:
    """Whether an Arrow type is the one in which Spark sends a vector."""
    if not pa.types.is_struct(data_type) or data_type.num_fields != len(_FIELDS):
        return False
    return all(
        field.name == name
        and (field.type == wanted or (pa.types.is_list(wanted) and _elements(field.type) == wanted.value_type))
        for field, (name, wanted) in zip(data_type, _FIELDS, strict=True)
    )


def _elements(data_type: pa.DataType) -> pa.DataType | None:
    return data_type.value_type if pa.types.is_list(data_type) else None


def densify(array: pa.StructArray) -> pa.ListArray:
    """Turn vectors into arrays of doubles; a null stays null, what a sparse vector leaves out is 0.0.

    Dense vectors go over without a copy.

    Raises:
        pyarrow.ArrowInvalid: The arrays would take more than `MAX_DENSE_BYTES`.
    """
    kinds, sizes, indices, values = (pc.struct_field(array, [index]) for index in range(len(_FIELDS)))
    sparse = pc.fill_null(pc.equal(kinds, 0), False).to_numpy(zero_copy_only=False)
    if not sparse.any():
        return values
    counts = _filled(pc.list_value_length(values))
    lengths = np.where(sparse, _filled(sizes), counts)
    total = int(lengths.sum())
    if total * 8 > MAX_DENSE_BYTES:
        raise pa.ArrowInvalid(f"{len(array)} sparse vectors make {total * 8:,} bytes of dense ones")
    starts = np.concatenate([[0], np.cumsum(lengths)])
    out = np.zeros(total)
    within = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
    within[np.repeat(sparse, counts)] = pc.list_flatten(pc.filter(indices, pa.array(sparse))).to_numpy()
    out[np.repeat(starts[:-1], counts) + within] = pc.list_flatten(values).to_numpy()
    offsets = pa.array(starts.astype(np.int32), mask=np.append(array.is_null().to_numpy(zero_copy_only=False), False))
    return pa.ListArray.from_arrays(offsets, pa.array(out))


def _filled(lengths: pa.Array) -> npt.NDArray[np.int64]:
    filled: npt.NDArray[np.int64] = pc.cast(pc.fill_null(lengths, 0), pa.int64()).to_numpy()
    return filled
