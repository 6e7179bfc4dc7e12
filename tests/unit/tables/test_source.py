"""What a source is narrowed to, where the texts of its partitions leave room for doubt."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from spark_infer.config import SourceConfig
from spark_infer.tables.local_tables import LocalTables
from spark_infer.tables.source import open_snapshot


@pytest.mark.parametrize(("filtered", "files"), [({"n": [1]}, 0), ({}, 2)])
def test_texts_that_only_spark_can_tell_keep_a_filter_from_deciding_alone(
    tmp_path: Path, filtered: dict[str, list[int]], files: int
) -> None:
    write_deltalake(tmp_path, pa.table({"id": [1, 2], "n": pa.array([1, 2], pa.int32())}), partition_by=["n"])
    log = tmp_path / "_delta_log" / f"{0:020}.json"
    log.write_text(log.read_text().replace('"partitionValues":{"n":"1"}', '"partitionValues":{"n":" 1"}'))
    found = open_snapshot(LocalTables(), SourceConfig(path=str(tmp_path), partition_filter=filtered))
    assert found.listing is not None
    assert found.listing.doubts == (("only Spark can tell what partition values of n are as int",) if filtered else ())
    assert len(found.listing.files) == files
    assert (found.rows is None) == bool(filtered)
