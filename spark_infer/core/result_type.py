"""The result type that a user declares for predictions."""

from __future__ import annotations

import pyarrow as pa

from spark_infer.core.signature import for_model
from spark_infer.errors import ConfigError


def check_result_type(declared: pa.Schema, spelled: str) -> pa.Schema:
    """Return the outputs that a result type declares.

    Args:
        declared: Its columns; one for a single type.
        spelled: The result type as DDL, for the message.

    Raises:
        ConfigError: No model returns values of such a type.
    """
    if any(for_model(field.type) is None or pa.types.is_null(field.type) for field in declared):
        raise not_a_result_type(spelled)
    return declared


def not_a_result_type(spelled: str) -> ConfigError:
    """Return the error for a result type that is not a type, or not one of predictions."""
    return ConfigError(
        f"result_type {spelled!r} is not a type that predictions can have.",
        next_step="write DDL: 'double', 'array<float>', 'label string, score double'; no variant, interval or time.",
    )
