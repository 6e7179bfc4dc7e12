"""Arrays of numbers as binary: the numbers' bytes one after the other, little-endian, with no work per row."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from spark_infer.core.signature import is_list, spelled
from spark_infer.errors import StepError, StepFailedError

_DTYPES = {"float": "<f4", "double": "<f8"}


def packed(lists: pa.Array, number: str, name: str) -> pa.Array:
    """Turn arrays of floating-point numbers into binary; null stays null.

    Args:
        lists: The arrays, of any lengths.
        number: What each number becomes: ``float`` (4 bytes, doubles are rounded) or ``double`` (8 bytes).
        name: The column, for messages.

    Raises:
        StepError: It holds something else.
        StepFailedError: A null or a double beyond float within an array, or more than 2 GiB in a batch.
    """
    if not is_list(lists.type) or not pa.types.is_floating(lists.type.value_type):
        raise StepError(
            f"The postprocess step pack takes an array of float or double, and {name!r} is {spelled(lists.type)}.",
            next_step="let the model return arrays of floats, or leave the step out.",
        )
    values = lists.flatten()
    if values.null_count:
        raise StepFailedError(f"An array of {name!r} holds a null, which packed numbers have no place for.")
    given = values.to_numpy(zero_copy_only=False)
    with np.errstate(over="ignore"):
        numbers = given.astype(_DTYPES[number], copy=False)
    if numbers.itemsize < given.itemsize and np.isinf(numbers).sum() > np.isinf(given).sum():
        raise StepFailedError(
            f"An array of {name!r} holds a number too large for float.", next_step="pack it with number: double."
        )
    ends = np.cumsum(pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False), dtype=np.int64)
    offsets = np.concatenate([[0], ends * numbers.itemsize])
    if offsets[-1] > np.iinfo(np.int32).max:
        raise StepFailedError(f"The arrays of {name!r} take more than 2 GiB.", next_step="use a smaller batch_size.")
    valid = pa.array(lists.is_valid()).buffers()[1] if lists.null_count else None
    buffers = [valid, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(np.ascontiguousarray(numbers))]
    return pa.Array.from_buffers(pa.binary(), len(lists), buffers)
