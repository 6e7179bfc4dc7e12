"""Folders as this process sees them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from spark_infer.errors import SourceError
from spark_infer.tables.storage import DataFile, open_storage, partition_values, split_uri


def test_hidden_files_and_folders_are_no_data(tmp_path: Path) -> None:
    names = ["a.parquet", "p=1/b.parquet", "_x=1/c.parquet", "_SUCCESS", ".a.crc", "_delta_log/0.json", "p=1/.d/e"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"123")
    storage = open_storage(f"file://{tmp_path}")
    assert storage is not None
    assert storage.data_files() == [DataFile(name, 3) for name in ("_x=1/c.parquet", "a.parquet", "p=1/b.parquet")]
    assert storage.renames_atomically
    assert [storage.kind(), storage.kind("a.parquet"), storage.kind("none")] == ["folder", "file", ""]
    assert storage.beside("other").root == str(tmp_path.parent / "other")


def test_partition_values_keep_their_text() -> None:
    path = "p=001/a%2Fb=%25 é/null=__HIVE_DEFAULT_PARTITION__/empty=/part.parquet"
    assert partition_values(path) == {"p": "001", "a/b": "% é", "null": None, "empty": None}
    assert partition_values("no/partition/here") == {}


@pytest.mark.parametrize(
    ("uri", "parts"),
    [
        ("/a/b", ("", "", "/a/b")),
        ("file:/a", ("file", "", "/a")),
        ("FILE:///a", ("file", "", "/a")),
        ("s3a://bucket/a b", ("s3a", "bucket", "/a b")),
        ("hdfs://name:8020/a", ("hdfs", "name:8020", "/a")),
    ],
)
def test_a_uri_is_split_without_decoding(uri: str, parts: tuple[str, str, str]) -> None:
    assert split_uri(uri) == parts


def test_a_file_system_nobody_knows_is_not_opened() -> None:
    assert open_storage("dbfs:/a/b") is None


LOOPS = {
    "itself": {"a=1": ".", "b=1": "."},
    "the folder above": {"a=1/b=1": ".."},
    "far above": {"a=1/b=1": "/"},
    "by way of another folder": {"a=1": "../aside", "../aside/back": "../in"},
    "between two links": {"a=1": "../aside", "../aside/c=1": "../other", "../other/d=1": "../aside"},
}


@pytest.mark.parametrize("links", LOOPS.values(), ids=LOOPS)
def test_a_folder_that_links_back_into_itself_is_refused(tmp_path: Path, links: dict[str, str]) -> None:
    for name in ("in/a=1", "aside", "other"):
        (tmp_path / name).mkdir(parents=True)
    for name, target in links.items():
        link = tmp_path / "in" / name
        if link.is_dir():
            link.rmdir()
        link.symlink_to(target)
    storage = open_storage(f"file://{tmp_path}/in")
    assert storage is not None
    with pytest.raises(SourceError, match="link that leads back into itself"):
        storage.data_files()


HIDDEN_LOOPS = {
    "in a hidden folder": {"_staging/a=1": ".", "_staging/b=1": "."},
    "of a hidden name": {".a": ".", "_b": ".."},
    "behind a link that is followed": {"a=1": "../aside", "../aside/.back": "../in"},
    "out of a hidden folder": {".staging/far": "/"},
}


@pytest.mark.parametrize("links", HIDDEN_LOOPS.values(), ids=HIDDEN_LOOPS)
def test_a_link_back_where_spark_does_not_look_is_passed_over(tmp_path: Path, links: dict[str, str]) -> None:
    for name in ("in/_staging", "in/.staging", "aside", "in/c=1"):
        (tmp_path / name).mkdir(parents=True)
    for name, target in links.items():
        (tmp_path / "in" / name).symlink_to(target)
    for name in ("in/c=1/x.parquet", "in/_staging/y.parquet"):
        (tmp_path / name).write_text("x")
    storage = open_storage(f"file://{tmp_path}/in")
    assert storage is not None
    assert [file.path for file in storage.data_files()] == ["c=1/x.parquet"]
    assert storage.every_path() == ["_staging/y.parquet", "c=1/x.parquet"]


@pytest.mark.parametrize("name", ["_x=1", "_metadata.d"])
def test_a_link_back_where_spark_looks_in_spite_of_its_name_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).symlink_to(".")
    storage = open_storage(f"file://{tmp_path}")
    assert storage is not None
    with pytest.raises(SourceError, match="link that leads back into itself"):
        storage.data_files()


def test_a_link_to_another_folder_is_followed(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "aside" / "b=1").mkdir(parents=True)
    (tmp_path / "aside" / "b=1" / "x.parquet").write_text("x")
    for name in ("a=1", "a=2"):
        (tmp_path / "in" / name).symlink_to("../aside")
    storage = open_storage(f"file://{tmp_path}/in")
    assert storage is not None
    assert [file.path for file in storage.data_files()] == ["a=1/b=1/x.parquet", "a=2/b=1/x.parquet"]


@pytest.mark.parametrize("links", [{}, {".loop": "."}], ids=["plain", "with a hidden loop"])
def test_a_name_that_is_not_utf_8_is_refused_with_its_folder(tmp_path: Path, links: dict[str, str]) -> None:
    (tmp_path / "in").mkdir()
    for name, target in links.items():
        (tmp_path / name).symlink_to(target)
    Path(os.fsdecode(os.fsencode(tmp_path / "in") + b"/\xff.txt")).touch()
    storage = open_storage(f"file://{tmp_path}")
    assert storage is not None
    with pytest.raises(SourceError, match=f"A name below {tmp_path} is not UTF-8"):
        storage.data_files()
