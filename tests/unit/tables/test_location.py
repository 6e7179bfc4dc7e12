"""The same table in any spelling."""

from __future__ import annotations

from pathlib import Path

import pytest

from spark_infer.tables.location import TableLocation, canonical, same_table


def at(path: str | None, table: str | None = None) -> TableLocation:
    return TableLocation("delta", path, table)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("s3://b/t", "s3a://b/t", True),
        ("s3://b/t", "s3n://b/t/p=1", True),
        ("s3://b/t", "s3://b/t2", False),
        ("s3://b/t", "s3://c/t", False),
        ("hdfs://n/t", "hdfs://n/t", True),
        ("hdfs://n/t", "hdfs://m/t", False),
        ("file:///no/t", "file:///no/t/inside", True),
        ("file:///no/t", "file:///no/tt", False),
    ],
)
def test_tables_that_share_a_folder_are_the_same(one: str, other: str, same: bool) -> None:
    assert same_table(at(one), at(other)) is same
    assert same_table(at(other), at(one)) is same


def test_names_tell_where_paths_cannot() -> None:
    assert same_table(at(None, "`a`.`b`"), at(None, "`a`.`b`"))
    assert not same_table(at(None, "`a`.`b`"), at("s3://b/t"))


def test_one_folder_under_two_names_is_the_same(tmp_path: Path) -> None:
    (tmp_path / "real" / "t").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    # Not resolved on purpose: as if the link were a second mount of the folder.
    assert same_table(at(f"file://{tmp_path}/link/t/p=1"), at(f"file://{tmp_path}/real/t"))
    assert canonical(f"file:{tmp_path}/link/../link/t/") == f"file://{tmp_path}/real/t"


def test_a_location_shows_what_a_reader_knows() -> None:
    assert at("file:///data/t").name == "/data/t"
    assert at("s3://b/t", "`c`.`s`.`t`").name == "c.s.t"
    assert at("file:///data/a`b").sql == "delta.`file:///data/a``b`"
