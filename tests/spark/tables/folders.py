"""Folders of Parquet files in every state that Spark's rules of listing distinguish, made without Spark."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet as pq

_NUMBERS = itertools.count(1_000)
LINKED = "linked"


def put(folder: Path, *names: str) -> None:
    """Make a Parquet file with two rows of its own at each path."""
    for name in names:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        first = 2 * next(_NUMBERS)
        pq.write_table(pa.table({"id": [first, first + 1], "x": [float(first), first + 1.0]}), file)


def empty(folder: Path, *names: str) -> None:
    """Make an empty file at each path."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def _files(*names: str, zero: tuple[str, ...] = ()) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        put(folder, *names)
        empty(folder, *zero)

    return make


def _links(folder: Path) -> None:
    beside = folder.with_name(f"{folder.name} {LINKED}")
    put(beside, "p=2/b.parquet", "c.parquet")
    put(folder, "p=1/a.parquet")
    os.symlink(beside / "p=2", folder / "p=2")
    os.symlink(beside / "c.parquet", folder / "p=1" / "c.parquet")
    os.symlink(beside / "gone", folder / "p=1" / "gone.parquet")


def _empty_folders(folder: Path) -> None:
    put(folder, "a.parquet")
    (folder / "p=1").mkdir()
    (folder / "sub" / "deep").mkdir(parents=True)


READ: dict[str, Callable[[Path], None]] = {
    "zero bytes": _files("a.parquet", zero=("b.parquet", "sub/c.parquet", "part_$folder$")),
    "zero bytes first": _files("b.parquet", zero=("a.parquet",)),
    "zero bytes, partitioned": _files("m=1/a.parquet", zero=("m=1_$folder$", "m=1/b.parquet", "m=2/c.parquet")),
    "hidden files": _files("a.parquet", "_b.parquet", ".c.parquet", "d.parquet._COPYING_", "_e=1.parquet", "~f"),
    "hidden folders": _files(
        "a.parquet", "_b/c.parquet", ".d/e.parquet", "f._COPYING_/g.parquet", "_temporary/0/h.parquet"
    ),
    "hidden below partitions": _files("p=1/a.parquet", "p=1/_temporary/0/b.parquet", "p=1/.c/d.parquet"),
    "hidden-looking partitions": _files("_p=1/a.parquet", "_p=2/b.parquet"),
    "summary files": _files("a.parquet", "_metadata", "_common_metadata", "_metadata.bak"),
    "other extensions": _files("a", "b.txt", "c.csv.gz", "d.parquet.tmp", "e.inprogress"),
    "odd names": _files("a b.parquet", "c%20d.parquet", "e[1].parquet", "f{g,h}.parquet", "i*?.parquet", "é.parquet"),
    "names of numbers": _files(
        "p=001/a.parquet", "p=1/b.parquet", "p=1_000/c.parquet", "p=\N{ARABIC-INDIC DIGIT ONE}/d.parquet"
    ),
    "escaped values": _files("p=a%2Fb/a.parquet", "p=%25/b.parquet", "p=100%/c.parquet", "p=%zz%41/d.parquet"),
    "escaped numbers": _files("p=%31/a.parquet", "p=2/b.parquet"),
    "null and its likes": _files(
        "p=__HIVE_DEFAULT_PARTITION__/a.parquet", "p=null/b.parquet", "p=__hive_default_partition__/c.parquet"
    ),
    "equals signs": _files("p=a=b/a.parquet", "p==/b.parquet"),
    "two levels": _files("p=1/q=x/a.parquet", "p=1/q=y/b.parquet", "p=2/q=x/c.parquet"),
    "links": _links,
    "empty folders": _empty_folders,
}
"""What Spark reads and we read alike."""

REFUSED: dict[str, Callable[[Path], None]] = {
    "rows beside partitions": _files("p=1/a.parquet", "b.parquet"),
    "rows in a plain folder": _files("a.parquet", "sub/b.parquet"),
    "rows in a plain folder of a partition": _files("p=1/a.parquet", "p=1/sub/b.parquet"),
    "rows in a folder like a summary": _files("p=1/a.parquet", "p=1/_metadata_old/b.parquet"),
    "other depth": _files("p=1/a.parquet", "p=1/q=2/b.parquet"),
    "other names": _files("p=1/a.parquet", "q=1/b.parquet"),
    "other case": _files("p=1/a.parquet", "P=2/b.parquet"),
    "zero bytes of another partition": _files("p=1/a.parquet", zero=("q=1/b.parquet",)),
    "one name twice": _files("p=1/p=2/a.parquet"),
    "one name twice, in two cases": _files("p=1/P=2/a.parquet"),
    "no value": _files("p=/a.parquet", "p=1/b.parquet"),
    "no name": _files("=1/a.parquet"),
    "no data": _files(zero=("a.parquet",)),
    "only hidden": _files("_a.parquet", ".b.parquet"),
}
"""What is refused before anything runs: Spark refuses it too, or leaves rows out, or reads them from odd places."""


def listed(path: Path) -> list[tuple[object, ...]]:
    """The rows of the files that a source's listing names, with its partition values as text, sorted."""
    from spark_infer.config import SourceConfig
    from spark_infer.tables.local_tables import LocalTables
    from spark_infer.tables.source import open_snapshot

    found = open_snapshot(LocalTables(), SourceConfig(path=str(path)))
    storage = found.location.storage()
    assert storage is not None
    assert found.listing is not None
    rows: list[tuple[object, ...]] = []
    for file in found.listing.files:
        with storage.files.open_input_file(storage.at(file.path)) as stream:
            ids = pq.ParquetFile(stream).read(columns=["id"])["id"].to_pylist()
        rows += [(each, *file.values.values()) for each in ids]
    return sorted(rows, key=str)


def states(cases: dict[str, Callable[[Path], None]], root: Path) -> Iterator[tuple[str, Path]]:
    """Make a folder for each case."""
    for name, make in cases.items():
        folder = root / name.replace(",", "")
        folder.mkdir(parents=True)
        make(folder)
        yield name, folder
