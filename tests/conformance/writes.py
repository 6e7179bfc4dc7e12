"""What a job promises of its target, whatever the table format and the engine: the cases of the conformance suite.

``tests/local/test_conformance.py`` runs each of them with engine `local`, ``tests/spark/test_conformance.py`` with
Spark, and both with each format. What was written is read back by deltalake and pyarrow, which share no code with the
writers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

from spark_infer import Report, ScoringJob
from spark_infer.config import JobConfig
from spark_infer.errors import PlanError, SparkInferError, TargetError
from spark_infer.runtime.failpoints import InjectedError
from spark_infer.tables.formats import format_of
from tests.tree import tree

STAMPS = {"model_name_column": None, "model_version_column": None, "scored_at_column": None}


@dataclass(frozen=True)
class Writes:
    """Jobs of one engine into a table of one format.

    Attributes:
        folder: Holds the table ``out``, and the sources.
        kind: The format.
        model: A model that doubles ``x``.
        engine: What a job says of its engine.
        session: What `ScoringJob.run` is given.
        breaks: Has this process break at a point.
        quiet: A block in which the engine may start no work.
    """

    folder: Path
    kind: str
    model: str
    engine: Mapping[str, Any]
    session: tuple[Any, ...]
    breaks: Callable[[str], None]
    quiet: Callable[[], AbstractContextManager[None]] = nullcontext

    @property
    def out(self) -> Path:
        return self.folder / "out"

    @property
    def has_log(self) -> bool:
        return bool(format_of(self.kind).log_folder)

    @property
    def by_spark(self) -> bool:
        return bool(self.session)

    def job(self, rows: pa.Table, mode: str = "error_if_exists", *, name: str = "job", **target: Any) -> ScoringJob:
        """A job over rows, in files of two."""
        source = self.folder / f"in-{name}"
        if not source.exists():
            source.mkdir()
            for start in range(0, max(len(rows), 1), 2):
                pq.write_table(rows.slice(start, 2), source / f"{start:03}.parquet")
        document = {
            "name": name,
            "model": {"uri": self.model},
            "source": {"path": str(source)},
            "target": {"path": str(self.out), "format": self.kind, "mode": mode, **STAMPS, **target},
            "units": {"bytes": 1},
            **self.engine,
        }
        return ScoringJob(JobConfig.model_validate(document))

    def run(self, job: ScoringJob) -> Report:
        return job.run(*self.session)

    def write(self, rows: pa.Table, mode: str = "error_if_exists", **more: Any) -> Report:
        return self.run(self.job(rows, mode, **more))

    def refused(self, rows: pa.Table, mode: str, **target: Any) -> tuple[str, ...]:
        """What a plan refuses a target for; nothing has run, and nothing has changed."""
        before = tree(self.out)
        # That a table is there is known without Spark; to describe it, Delta may run small jobs of its own.
        quiet = self.quiet if mode == "error_if_exists" else nullcontext
        with quiet(), pytest.raises(TargetError) as error:
            self.job(rows, mode, **target).plan(*self.session)
        assert error.value.next_step
        assert tree(self.out) == before
        return error.value.details

    def old(self, ids: Iterable[int], *, columns: Mapping[str, Any] | None = None, partitioned: bool = True) -> None:
        """A table that another program made."""
        rows = of(ids)
        rows = rows.append_column("prediction", pa.array([each / 2 for each in rows["id"].to_pylist()]))
        for column, value in (columns or {}).items():
            rows = rows.append_column(column, pa.array([value] * len(rows)))
        by = ["part"] if partitioned else None
        if self.has_log:
            write_deltalake(self.out, rows, partition_by=by)
        elif partitioned:
            pq.write_to_dataset(rows, self.out, partition_cols=by)
        else:
            self.out.mkdir()
            pq.write_table(rows, self.out / "old.parquet")

    def table(self) -> pa.Table:
        if self.has_log:
            return DeltaTable(self.out).to_pyarrow_table()
        return ds.dataset(self.out, format="parquet", partitioning="hive").to_table()

    def stored(self) -> list[int]:
        """The ids in the table, after a look at whether each row has its own prediction and partition."""
        rows = self.table().to_pylist()
        assert [row["prediction"] for row in rows] == pytest.approx([row["id"] / 2 for row in rows])
        assert [row["part"] for row in rows] == [row["id"] % 3 for row in rows]
        return sorted(row["id"] for row in rows)

    def files(self) -> list[Path]:
        return [path for path in self.out.rglob("*.parquet") if not path.name.startswith((".", "part-00000-no-rows"))]


def of(ids: Iterable[int]) -> pa.Table:
    """Rows of ``id``, ``x`` = id / 4 and ``part`` = id % 3."""
    ids = list(ids)
    return pa.table(
        {
            "id": pa.array(ids, pa.int64()),
            "x": pa.array([each / 4 for each in ids], pa.float64()),
            "part": pa.array([each % 3 for each in ids], pa.int32()),
        }
    )


def a_new_table_holds_the_rows_and_the_report_counts_what_was_committed(w: Writes) -> None:
    report = w.write(of(range(12)), partition_by=["part"])
    assert w.stored() == [*range(12)]
    sizes = sum(path.stat().st_size for path in w.files())
    assert (report.rows_scored, report.files_written, report.bytes_written) == (12, len(w.files()), sizes)
    assert {path.parent.name for path in w.files()} == {"part=0", "part=1", "part=2"}
    assert report.target_version == (0 if w.has_log else None)
    assert {path.name for path in w.folder.iterdir()} == {"in-job", "out", ".out.spark_infer"}


def append_adds_rows_beside_those_of_before(w: Writes) -> None:
    w.old(range(6))
    before = tree(w.out)
    report = w.write(of(range(6, 12)), "append")
    assert w.stored() == [*range(12)]
    assert report.rows_scored == 6
    assert before.items() - {item for item in before.items() if not item[1][2]} <= tree(w.out).items()
    assert (report.target_version is not None) == w.has_log


def overwrite_replaces_columns_and_partitioning(w: Writes) -> None:
    w.old(range(6), columns={"gone": 1}, partitioned=False)
    job = w.job(of(range(3)), "overwrite", partition_by=["part"])
    if w.has_log and not w.by_spark:
        with pytest.raises(PlanError, match="Only Spark can write") as refused:
            job.plan()
        assert refused.value.details == ("the write changes the table's columns",)
        return
    w.run(job)
    assert w.stored() == [0, 1, 2]
    assert "gone" not in w.table().column_names
    assert {path.parent.name for path in w.files()} >= {"part=0", "part=1", "part=2"}


def overwrite_partitions_replaces_the_declared_ones_and_empties_those_without_rows(w: Writes) -> None:
    w.old(range(12))
    report = w.write(of([0]), "overwrite_partitions", partitions={"part": [0, 1]})
    assert w.stored() == [0, 2, 5, 8, 11]
    assert report.rows_scored == 1
    assert "The partition part=1 got no row and was emptied." in report.warnings


def a_row_outside_the_declared_partitions_fails_the_job_and_nothing_is_published(w: Writes) -> None:
    w.old(range(3))
    with pytest.raises(SparkInferError, match=r"(?i)a row lies outside the table partitions"):
        w.write(of([0, 1, 2]), "overwrite_partitions", partitions={"part": [0, 1]})
    assert w.stored() == [0, 1, 2]


def the_null_partition_and_texts_with_quotes_are_declared_and_replaced(w: Writes) -> None:
    def places(ids: list[int], texts: list[str | None]) -> pa.Table:
        return of(ids).append_column("place", pa.array(texts, pa.string()))

    w.write(places([1, 2, 3], ["a'b", None, "c"]), partition_by=["place"], name="first")
    w.write(places([4], [None]), "overwrite_partitions", partitions={"place": ["a'b", None]})
    assert {(row["id"], row["place"]) for row in w.table().to_pylist()} == {(3, "c"), (4, None)}


def an_empty_string_in_a_partition_column_is_refused_and_not_stored_as_null(w: Writes) -> None:
    with pytest.raises(SparkInferError, match=r"(?i)a partition column holds an empty string"):
        w.write(of([1]).append_column("place", pa.array([""])), partition_by=["place"])
    assert not w.out.exists()


def no_rows_make_a_table_that_can_be_read_and_added_to(w: Writes) -> None:
    report = w.write(of([]), partition_by=["part"], name="none")
    assert (report.rows_scored, w.stored()) == (0, [])
    assert {"id", "x", "prediction"} <= {*w.table().column_names}
    w.write(of(range(3)), "append")
    assert w.stored() == [0, 1, 2]


def no_rows_empty_the_declared_partitions_and_leave_a_table(w: Writes) -> None:
    w.old(range(6))
    report = w.write(of([]), "overwrite_partitions", partitions={"part": [0, 1, 2]})
    assert (report.rows_scored, w.stored()) == (0, [])
    assert w.refused(of([1]), "error_if_exists", name="later") == ()


def columns_that_the_rows_do_not_bring_are_null_or_refused(w: Writes) -> None:
    w.old([1], columns={"note": "old"}, partitioned=False)
    if format_of(w.kind).needs_all_columns:
        missing, why = w.refused(of([2]), "append")
        assert missing == "missing: note string"
        assert "files with fewer may hide the others" in why
        return
    assert "; note as the table fills them: null" in w.job(of([2]), "append").plan(*w.session).write
    w.write(of([2]), "append")
    assert [(row["id"], row["note"]) for row in sorted(w.table().to_pylist(), key=lambda row: row["id"])] == [
        (1, "old"),
        (2, None),
    ]


def every_problem_of_a_target_is_listed_before_anything_runs(w: Writes) -> None:
    w.old([1, 2])
    assert w.refused(of([3]), "error_if_exists") == ()
    rows = pa.table({"id": ["1"], "x": [0.25], "Part": pa.array([1], pa.int32()), "extra": pa.array([1], pa.int32())})
    problems = w.refused(rows, "append", name="odd")
    assert problems[:2] == ("id: the rows have string, the table has bigint", "Part: the table spells it 'part'")
    assert "unknown: extra int" in problems
    assert w.refused(of([3]), "append", partition_by=["id"]) == (
        "`partition_by` is id, the table is partitioned by part",
    )
    scope = {"pat": [1], "id": [1], "part": ["x", True]}
    assert w.refused(of([3]), "overwrite_partitions", partitions=scope) == (
        "'pat' is no partition column (did you mean 'part'?); there are: part",
        "'id' is no partition column; there are: part",
        "part: 'x' is not of the column's type int",
        "part: True is not of the column's type int",
    )


def partitions_of_a_table_without_any_cannot_be_replaced(w: Writes) -> None:
    w.old([1, 2], partitioned=False)
    assert w.refused(of([3]), "overwrite_partitions", partitions={"part": [0]}) == (
        "`overwrite_partitions` needs a table with partitions, and this one has none",
    )


def a_merge_replaces_and_adds_by_keys_or_is_refused_where_there_is_none(w: Writes) -> None:
    w.old([1, 2])
    if not w.by_spark:
        with pytest.raises(ValueError, match="only Spark can merge"):
            w.job(of([2, 3]), "merge", keys=["id"])
    elif not format_of(w.kind).takes_merge:
        assert w.refused(of([2, 3]), "merge", keys=["id"]) == (
            "`merge` needs a Delta table: set `format: delta`, or choose another mode",
        )
    else:
        job = w.job(of([2, 3]), "merge", keys=["id"])
        report = w.run(job)
        assert (report.rows_replaced, report.rows_added) == (1, 1)
        assert w.stored() == [1, 2, 3]
        assert w.run(job).already_done
        return
    assert w.stored() == [1, 2]


def goes_on(mode: str, point: str) -> Callable[[Writes], None]:
    """A run that breaks when a unit is sealed, or all is published, goes on; it writes each row once."""

    def case(w: Writes) -> None:
        exists = mode != "error_if_exists"
        more: dict[str, Any] = {} if exists else {"partition_by": ["part"]}
        if mode == "overwrite_partitions":
            more = {"partitions": {"part": [0, 1, 2]}}
        if exists:
            w.old([-3, -2, -1])
        job = w.job(of(range(6)), mode, **more)
        w.breaks(f"{point}:1:raise")
        with pytest.raises(InjectedError):
            w.run(job)
        w.breaks("")
        if exists and mode != "append" and point == "sealed":
            assert w.stored() == [-3, -2, -1]
        if point == "sealed":
            assert " units are done" in str(job.plan(*w.session))
        report = w.run(job)
        wanted = [*([-3, -2, -1] if mode == "append" else ()), *range(6)]
        assert (report.already_done, report.rows_scored, w.stored()) == (False, 6, wanted)
        assert report.units_before >= (point == "sealed")
        again = w.run(job)
        assert (again.already_done, again.run_id, w.stored()) == (True, report.run_id, wanted)
        left = {path.name for path in (w.folder / ".out.spark_infer").rglob("*") if path.is_file()}
        assert left == {"plan.json", "report.json"}
        if mode == "append":
            with pytest.raises(TargetError, match="This job has put 6 rows into the target before"):
                w.job(of(range(6)), mode, output="score").plan(*w.session)

    case.__name__ = f"{mode}_goes_on_after_{point}"
    return case


CASES: tuple[Callable[[Writes], None], ...] = (
    a_new_table_holds_the_rows_and_the_report_counts_what_was_committed,
    append_adds_rows_beside_those_of_before,
    overwrite_replaces_columns_and_partitioning,
    overwrite_partitions_replaces_the_declared_ones_and_empties_those_without_rows,
    a_row_outside_the_declared_partitions_fails_the_job_and_nothing_is_published,
    the_null_partition_and_texts_with_quotes_are_declared_and_replaced,
    an_empty_string_in_a_partition_column_is_refused_and_not_stored_as_null,
    no_rows_make_a_table_that_can_be_read_and_added_to,
    no_rows_empty_the_declared_partitions_and_leave_a_table,
    columns_that_the_rows_do_not_bring_are_null_or_refused,
    every_problem_of_a_target_is_listed_before_anything_runs,
    partitions_of_a_table_without_any_cannot_be_replaced,
    a_merge_replaces_and_adds_by_keys_or_is_refused_where_there_is_none,
    *(
        goes_on(mode, point)
        for mode in ("error_if_exists", "append", "overwrite", "overwrite_partitions")
        for point in ("sealed", "published")
    ),
)

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
