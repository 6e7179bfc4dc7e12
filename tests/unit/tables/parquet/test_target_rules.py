"""An overwrite exchanges the whole folder, so nothing but a table may lie in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from spark_infer.config import TargetConfig
from spark_infer.errors import TargetError
from spark_infer.tables.location import TableLocation
from spark_infer.tables.parquet.table_snapshot import EMPTY_TABLE_FILE
from spark_infer.tables.parquet.target_rules import ParquetRules

TABLE = ("_SUCCESS", "._SUCCESS.crc", "_metadata", "_common_metadata", EMPTY_TABLE_FILE, "p=1/_q=2/part-0.parquet")


def check(folder: Path, *names: str, mode: str = "overwrite") -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    target = TargetConfig.model_validate({"path": str(folder), "mode": mode})
    ParquetRules(TableLocation("parquet", f"file://{folder}"), exists=True).refuse(target)


@pytest.mark.parametrize("name", ["notes.txt", ".git/HEAD", "sub/thesis.doc", "sub/part.parquet", "p=1/readme", "_tmp"])
def test_overwrite_refuses_a_folder_that_holds_a_foreign_file(tmp_path: Path, name: str) -> None:
    check(tmp_path, *TABLE)
    with pytest.raises(TargetError, match="would remove files that are no part of a Parquet table") as refused:
        check(tmp_path, name)
    assert refused.value.details == (f"It holds: {name}",)
    assert refused.value.next_step


def test_up_to_three_foreign_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(TargetError) as refused:
        check(tmp_path, "d.txt", "c.txt", "b.txt", "a.txt")
    assert refused.value.details == ("It holds: a.txt, b.txt, c.txt, …",)


def test_a_write_that_leaves_the_folder_in_place_does_not_mind(tmp_path: Path) -> None:
    check(tmp_path, *TABLE, "notes.txt", mode="append")
