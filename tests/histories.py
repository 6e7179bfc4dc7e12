"""Random histories of a source that an incremental job scores step by step, and what its target must hold."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable, write_deltalake

from spark_infer import Report
from spark_infer.errors import SourceError
from tests.local.jobs import job, read

_PARTS = 2


Changes = list[tuple[Callable[[], None], int]]


class History:
    """A Delta table that grows and changes, and the predictions that a full rescore would have made at each step.

    With keys, those that runs have made which score each key once: a row keeps its first prediction.

    Args:
        here: An empty folder.
        seed: Decides what happens.
        models: Folder to slope, of the versions of the model.
        by: Whether rows count as new by their ``id`` where the source does not say which are.
    """

    formats: tuple[str, ...] = ("delta",)
    """Those of the target."""

    def __init__(self, here: Path, seed: int, models: Mapping[str, float], *, by: bool = False) -> None:
        self._by = by
        self._format = self.formats[seed % len(self.formats)]
        self._random = random.Random(seed)
        self._here = here
        self._models = models
        self._model = next(iter(models))
        self._next = 0
        self._scored: dict[int, float] = {}
        self.refused = 0
        self.trace: list[str] = []
        self._append()

    @property
    def _source(self) -> DeltaTable:
        return DeltaTable(self._here / "in")

    @property
    def _is_wide(self) -> bool:
        """Whether the source has its further column now, which a restored one may lack again."""
        return "more" in {field.name for field in self._source.schema().fields}

    def go(self, steps: int) -> None:
        """Let things happen, and score after some of them."""
        self._score()
        changes = [*self._changes(), (self._promote, 1), (self._restore_target, 1), (self._score, 8)]
        for _ in range(steps):
            happens = self._random.choices([each for each, _ in changes], [weight for _, weight in changes])[0]
            self.trace.append(happens.__name__)
            happens()
        self._score()

    def _changes(self) -> Changes:
        """What happens to the source, and how often."""
        return [
            (self._append, 8),
            (self._compact, 3),
            (self._vacuum, 1),
            (self._delete, 2),
            (self._update, 1),
            (self._restore, 1),
            (self._widen, 1),
        ]

    def _append(self) -> None:
        count = self._random.randint(1, 4)
        ids = range(self._next, self._next + count)
        self._next += count
        columns = {"id": list(ids), "x": [each / 4 for each in ids], "part": [each % _PARTS for each in ids]}
        if self._next > count and self._is_wide:
            columns["more"] = [f"{each}" for each in ids]
        write_deltalake(self._here / "in", pa.table(columns), mode="append", partition_by=["part"])

    def _compact(self) -> None:
        if self._random.random() < 0.5:
            self._source.optimize.compact()
        else:
            self._source.optimize.z_order(["id"])

    def _vacuum(self) -> None:
        self._source.vacuum(0, dry_run=False, enforce_retention_duration=False)

    def _delete(self) -> None:
        self._source.delete(f"id = {self._random.randrange(self._next)}")

    def _update(self) -> None:
        self._source.update(predicate=f"id = {self._random.randrange(self._next)}", updates={"x": "x + 1"})

    def _restore(self) -> None:
        table = self._source
        try:
            table.restore(max(0, table.version() - self._random.randint(1, 3)))
        except Exception:  # files of that version were vacuumed: nothing happened
            self.trace.append("(not restored)")

    def _promote(self) -> None:
        self._model = self._random.choice(list(self._models))

    def _widen(self) -> None:
        if not self._is_wide:
            rows = pa.table({"id": [self._next], "x": [0.0], "part": [0], "more": ["x"]})
            write_deltalake(self._here / "in", rows, mode="append", schema_mode="merge", partition_by=["part"])
            self._next += 1

    def _restore_target(self) -> None:
        """The target goes back to where it was some commits ago, and with it what it must hold."""
        target = DeltaTable(self._here / "out") if self._format == "delta" else None
        if target is None or target.version() == 0:
            return
        target.restore(target.version() - 1)
        self._scored = self._target()

    def _score(self) -> None:
        rows = {row["id"]: row["x"] for row in read(self._here / "in")}
        slope = self._models[self._model]
        full = {number: round(slope * x, 6) for number, x in rows.items()}
        if (report := self._tried()) is None:
            assert not self._by, "a run was refused that has keys"
            assert self._target() == self._scored, "a refused run changed the target"
            self.refused += 1
            self._run("overwrite")
            self._scored = full
        else:
            new = {number: prediction for number, prediction in full.items() if number not in self._scored}
            assert report.rows_scored == len(new), f"{report.rows_scored} rows were scored, {len(new)} are new"
            self._scored |= new
        assert self._scored.keys() >= rows.keys(), "rows are lost"
        assert self._by or self._scored.keys() == rows.keys(), "rows are there that should not be"
        assert self._target() == self._scored
        assert self._run("append").nothing_new

    def _tried(self) -> Report | None:
        """Score new rows; None where that is refused, with the way out."""
        try:
            return self._run("append")
        except SourceError as error:
            if "--set target.mode=overwrite" not in error.next_step:
                raise
            return None

    def _target(self) -> dict[int, float]:
        rows = read(self._here / "out")
        found = {row["id"]: round(row["prediction"], 6) for row in rows}
        assert len(found) == len(rows), "a row is there twice"
        return found

    def _run(self, mode: str) -> Report:
        target: dict[str, Any] = {"path": str(self._here / "out"), "format": self._format, "mode": mode}
        target["keep"] = ["id"]
        incremental = {"by": ["id"]} if self._by and mode == "append" else True
        return job(self._model, {"path": str(self._here / "in")}, target, incremental=incremental).run()


class FolderHistory(History):
    """The same of a Parquet folder, whose files come, are written again, are touched and go."""

    formats = ("delta", "parquet")

    def _changes(self) -> Changes:
        return [(self._append, 8), (self._replace, 2), (self._touch, 1), (self._remove, 1)]

    def _append(self) -> None:
        (self._here / "in").mkdir(exist_ok=True)
        self._write(self._here / "in" / f"{self._next}.parquet", self._ids())

    def _replace(self) -> None:
        """A file is written again: with its rows or changed ones, without some, and with new ones."""
        path = self._one()
        kept = [row for row in pq.read_table(path).column("id").to_pylist() if self._random.random() < 0.7]
        self._write(path, [*kept, *self._ids()], shift=self._random.choice([0.0, 1.0]))

    def _touch(self) -> None:
        path = self._one()
        path.write_bytes(path.read_bytes())

    def _remove(self) -> None:
        if len(list((self._here / "in").iterdir())) > 1:
            self._one().unlink()

    def _one(self) -> Path:
        return self._random.choice(sorted((self._here / "in").iterdir()))

    def _ids(self) -> list[int]:
        first, self._next = self._next, self._next + self._random.randint(1, 4)
        return list(range(first, self._next))

    @staticmethod
    def _write(path: Path, ids: list[int], shift: float = 0.0) -> None:
        pq.write_table(pa.table({"id": ids, "x": [each / 4 + shift for each in ids]}), path)
