"""Random histories of a Delta table that an incremental job scores step by step, and what its target must hold."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

from spark_infer import Report
from spark_infer.errors import SourceError
from tests.local.jobs import job, read

_PARTS = 2


class History:
    """A source that grows and changes, and the predictions that a full rescore would have made at each step.

    Args:
        here: An empty folder.
        seed: Decides what happens.
        models: Folder to slope, of the versions of the model.
    """

    def __init__(self, here: Path, seed: int, models: Mapping[str, float]) -> None:
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
        changes: list[tuple[Callable[[], None], int]] = [
            (self._append, 8),
            (self._compact, 3),
            (self._vacuum, 1),
            (self._delete, 2),
            (self._update, 1),
            (self._restore, 1),
            (self._promote, 1),
            (self._widen, 1),
            (self._restore_target, 1),
            (self._score, 8),
        ]
        for _ in range(steps):
            happens = self._random.choices([each for each, _ in changes], [weight for _, weight in changes])[0]
            self.trace.append(happens.__name__)
            happens()
        self._score()

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
        target = DeltaTable(self._here / "out")
        if target.version() == 0:
            return
        target.restore(target.version() - 1)
        self._scored = self._target()

    def _score(self) -> None:
        rows = {row["id"]: row["x"] for row in read(self._here / "in")}
        slope = self._models[self._model]
        full = {number: round(slope * x, 6) for number, x in rows.items()}
        if (report := self._tried()) is None:
            assert self._target() == self._scored, "a refused run changed the target"
            self.refused += 1
            self._run("overwrite")
            self._scored = full
        else:
            new = {number: prediction for number, prediction in full.items() if number not in self._scored}
            assert report.rows_scored == len(new), f"{report.rows_scored} rows were scored, {len(new)} are new"
            self._scored |= new
        assert self._scored.keys() == rows.keys(), "rows are lost, or there that should not be"
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
        target: dict[str, Any] = {"path": str(self._here / "out"), "mode": mode, "keep": ["id"]}
        return job(self._model, {"path": str(self._here / "in")}, target, incremental=True).run()
