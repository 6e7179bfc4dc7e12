"""Tables whose every row is known, and the judge of what became of them; neither knows spark_infer."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from deltalake import DeltaTable, write_deltalake
from typing_extensions import Self

FILES, ROWS = 10, 30
BIG = 2**53
SCHEMA = pa.schema([("id", pa.int64()), ("x", pa.float64()), ("part", pa.int32())])

Row = tuple[int, float | None]


def keys() -> list[int]:
    """The ids of the source: beyond what a double can tell apart."""
    return [BIG + 1 + number for number in range(FILES * ROWS)]


def make_source(folder: Path, kind: str) -> None:
    """Ten files of thirty rows: ``id``, ``x`` and ``part``, 0 to 2."""
    for number in range(FILES):
        ids = keys()[number * ROWS : (number + 1) * ROWS]
        rows = pa.table({"id": ids, "x": [(i - BIG) / 8 for i in ids], "part": [i % 3 for i in ids]}, SCHEMA)
        if kind == "delta":
            write_deltalake(folder, rows, mode="append")
        else:
            folder.mkdir(exist_ok=True)
            pq.write_table(rows, folder / f"{number}.parquet")


def make_old(folder: Path) -> None:
    """The source of what the target holds before: thirty rows with ids below zero."""
    folder.mkdir()
    ids = list(range(-ROWS, 0))
    rows = pa.table({"id": ids, "x": [i / 8 for i in ids], "part": [i % 3 for i in ids]}, SCHEMA)
    pq.write_table(rows, folder / "old.parquet")


def expected(*, old: bool, new: bool) -> Counter[Row]:
    """The rows that a target should hold, by the model in plain Python: twice ``x``."""
    ids = (list(range(-ROWS, 0)) if old else []) + (keys() if new else [])
    return Counter((i, 2 * ((i - BIG) if i > 0 else i) / 8) for i in ids)


def read(folder: Path) -> Counter[Row] | None:
    """The rows of a target, read without spark_infer; None where there is no table."""
    if (folder / "_delta_log").exists():
        table = DeltaTable(folder).to_pyarrow_table()
    elif folder.exists() and any(folder.rglob("*.parquet")):
        table = ds.dataset(folder, partitioning="hive").to_table()
    else:
        return None
    return Counter(zip(table["id"].to_pylist(), table["prediction"].to_pylist(), strict=True))


@dataclass(frozen=True)
class Verdict:
    """What is wrong with some rows; all zero where nothing is."""

    lost: int
    doubled: int
    phantom: int
    wrong: int

    @classmethod
    def of(cls, found: Counter[Row] | None, wanted: Counter[Row]) -> Self:
        """Compare what is there with what should be."""
        found = found or Counter()
        times = Counter(key for key, _ in found.elements())
        right, should = dict(wanted.keys()), {key for key, _ in wanted}
        return cls(
            lost=len(should - set(times)),
            doubled=sum(count - 1 for count in times.values()),
            phantom=len(set(times) - should),
            wrong=sum(1 for key, value in found if key in should and right[key] != value),
        )

    @property
    def is_clean(self) -> bool:
        """Whether nothing is wrong."""
        return self == Verdict(0, 0, 0, 0)


@dataclass
class Watcher:
    """A reader that looks at a target every 50 ms and keeps the states that it sees.

    Attributes:
        folder: The target.
        states: Each state once: how many old and how many new rows.
        errors: What went wrong, but for files that vanish between listing and opening, which is tried again once.
        looks: How often it looked.
        again: How often it had to look again at once.
    """

    folder: Path
    states: set[tuple[int, int]] = field(default_factory=set)
    errors: list[str] = field(default_factory=list)
    looks: int = 0
    again: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.is_set():
            self.looks += 1
            try:
                self._look()
            except Exception as error:
                self.errors.append(f"{type(error).__name__}: {error}")
            time.sleep(0.05)

    def _look(self) -> None:
        try:
            rows = read(self.folder)
        except FileNotFoundError:
            self.again += 1
            rows = read(self.folder)
        if rows is None:
            self.states.add((0, 0))
            return
        ids: list[Any] = [key for key, _ in rows.elements()]
        self.states.add((sum(key < 0 for key in ids), sum(key > 0 for key in ids)))
