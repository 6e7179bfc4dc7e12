"""The sentence of a plan."""

from __future__ import annotations

import pytest

from spark_infer.config.write_modes import MODES
from spark_infer.tables.check_target import sentence
from spark_infer.tables.location import TableLocation
from spark_infer.tables.plan import WritePlan
from spark_infer.tables.predicate import PartitionScope, partition_scope

SCOPE, _ = partition_scope({"month": [10]}, {"month": "int"})


@pytest.mark.parametrize(
    ("kind", "mode", "exists", "scope", "how"),
    [
        (
            "delta",
            "error_if_exists",
            False,
            None,
            "make the Delta table /t, partitioned by month, written beside it and renamed when complete",
        ),
        ("delta", "append", True, None, "add to the Delta table /t, partitioned by month, in one Delta commit"),
        (
            "parquet",
            "overwrite_partitions",
            True,
            SCOPE,
            "replace the rows of the Parquet table /t where (`month` IN (10)), written beside it and exchanged "
            "partition by partition when complete",
        ),
        (
            "parquet",
            "overwrite",
            True,
            None,
            "replace all rows of the Parquet table /t, partitioned by month, written beside it and exchanged when "
            "complete",
        ),
    ],
)
def test_the_sentence_says_what_happens_and_how(
    kind: str, mode: str, exists: bool, scope: PartitionScope | None, how: str
) -> None:
    location = TableLocation(kind, "file:///t")
    assert sentence(WritePlan(location, MODES[mode], exists, ("month",), scope, "")).how == how
