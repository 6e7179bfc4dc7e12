"""A run of a source that gives other rows each time is stopped anywhere, and goes on with the rows that it began with.

Spark alone reads such sources; here a stand-in for its part stores the rows, so that all the rest runs without it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Barrier, Event
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spark_infer.config import JobConfig, SourceConfig
from spark_infer.engines.job_deadline import Deadline
from spark_infer.engines.local.engine import LocalEngine
from spark_infer.engines.prepared_job import Source
from spark_infer.errors import SourceError, TargetError, UnfinishedRunError
from spark_infer.job.describe import plan_of
from spark_infer.job.prepare import prepare_job
from spark_infer.job.run import run_job
from spark_infer.observe.report import Report
from spark_infer.runtime.failpoints import InjectedError
from spark_infer.tables.bookmark import Span
from spark_infer.tables.sink.sink_spec import WrittenFile
from spark_infer.tables.source import open_snapshot
from spark_infer.tables.spark_json import plain, schema_from_json
from spark_infer.tables.storage import Storage
from tests.local.jobs import read
from tests.pairwise import pairwise

pytestmark = pytest.mark.usefixtures("in_this_process")

FILES, ROWS = 3, 2
"""Of each time that the source is stored."""


class Storing(LocalEngine):
    """Engine `local` with a query whose ``x`` is 100 at its first time, 200 at its second, and so on."""

    def __init__(self, config: JobConfig, query: Query) -> None:
        super().__init__(config.resources)
        self._query = query

    def open_source(self, source: SourceConfig, span: Span) -> Source:
        if not source.is_unstored:
            self._query.before_reading()
            return super().open_source(source, span)
        schema = schema_from_json([{"name": "id", "type": "long"}, {"name": "x", "type": "double"}])
        snapshot = open_snapshot(self.tables, source, span)
        return Source(snapshot=snapshot, table=plain(schema), schema=schema, store=self._store)

    def _store(self, folder: Storage) -> Sequence[WrittenFile]:
        times = self._query.times
        times.append(len(times) + 1)
        self._query.while_storing()
        for number in range(FILES):
            ids = [number * ROWS + row for row in range(ROWS)]
            x = [100.0 * len(times)] * ROWS
            Path(folder.root).mkdir(exist_ok=True)
            pq.write_table(pa.table({"id": ids, "x": x}), Path(folder.root) / f"{number}.parquet")
        return [WrittenFile(path=file.path, size=file.size, rows=ROWS, values={}) for file in folder.data_files()]


class Query:
    """A job whose source is a query, and how often its rows were stored."""

    def __init__(self, model: str, target: dict[str, Any], **more: Any) -> None:
        document = {"model": model, "source": {"query": "select id, rand() as x from t"}, "target": target}
        self.config = JobConfig.model_validate({**document, "units": {"bytes": 1}, **more})
        self.times: list[int] = []
        self.while_storing: Callable[[], Any] = lambda: None
        self.before_reading: Callable[[], Any] = lambda: None

    def plan(self) -> str:
        return str(plan_of(prepare_job(Storing(self.config, self), self.config)))

    def run(self, *, new_run: bool = False) -> Report:
        return run_job(prepare_job(Storing(self.config, self), self.config, new_run=new_run))


def times_of(folder: Path) -> list[int]:
    """At which time the source gave the rows of a target, each row checked against the model that doubles."""
    rows = read(folder)
    assert [row["id"] for row in rows] == sorted(list(range(FILES * ROWS)) * (len(rows) // (FILES * ROWS)))
    assert all(row["prediction"] == 2 * row["x"] for row in rows)
    return sorted({int(row["x"] / 100) for row in rows})


POINTS = {
    "storing:1": 1,
    "store:1": 2,
    "stored:1": 1,
    "scored:1": 1,
    "seal:2": 1,
    "sealed:2": 1,
    "finish:1": 1,
    "published:1": 1,
    "report:1": 1,
    "clean:1": 1,
}
"""Where the first command is stopped, and how often the source is stored in the end."""


@pytest.mark.parametrize(
    ("point", "mode", "kind"), pairwise(list(POINTS), ["error_if_exists", "append", "overwrite"], ["delta", "parquet"])
)
def test_a_run_that_is_stopped_anywhere_scores_the_rows_of_one_time(
    line: str, tmp_path: Path, breaks: Callable[[str], None], point: str, mode: str, kind: str
) -> None:
    query = Query(line, {"path": str(tmp_path / "out"), "format": kind, "mode": mode})
    assert "stored first" in query.plan()
    assert query.times == []
    breaks(f"{point}:raise")
    with pytest.raises(InjectedError):
        query.run()
    breaks("")
    # What replaces rows is done again where all of it was finished before.
    time = 2 if (point, mode) == ("clean:1", "overwrite") else POINTS[point]
    report = query.run()
    assert report.rows_scored == FILES * ROWS
    assert query.times == list(range(1, time + 1))
    assert times_of(tmp_path / "out") == [time]
    assert not list(tmp_path.glob(".out.spark_infer/*.stored"))


def test_stored_rows_are_scored_beside_all_that_workers_write(row_by_row: str, tmp_path: Path) -> None:
    query = Query(
        row_by_row,
        {"path": str(tmp_path / "out"), "mode": "append"},
        score={"on_error": "quarantine", "deduplicate": "always"},
        quarantine={"path": str(tmp_path / "bad")},
        cache={"path": str(tmp_path / "cache")},
        aggregate={"path": str(tmp_path / "summary"), "columns": {"rows": "count"}},
    )
    assert "workers read the source and write the target, once the rows are stored" in query.plan()
    assert query.run().summary_rows == 1
    assert (query.times, times_of(tmp_path / "out")) == ([1], [1])


def test_what_a_finished_append_has_added_is_added_again_only_as_a_new_run(line: str, tmp_path: Path) -> None:
    query = Query(line, {"path": str(tmp_path / "out"), "mode": "append"})
    query.run()
    with pytest.raises(TargetError, match="append them again") as refused:
        query.run()
    assert "docs/sources.md" in str(refused.value)
    assert query.times == [1]
    query.run(new_run=True)
    assert (query.times, times_of(tmp_path / "out")) == ([1, 2], [1, 2])


def test_a_new_run_gives_up_the_stored_rows_of_an_unfinished_one(
    line: str, tmp_path: Path, breaks: Callable[[str], None]
) -> None:
    query = Query(line, {"path": str(tmp_path / "out")})
    breaks("seal:2:raise")
    with pytest.raises(InjectedError):
        query.run()
    breaks("")
    assert "that an earlier one has stored at" in query.plan()
    query.run(new_run=True)
    assert (query.times, times_of(tmp_path / "out")) == ([1, 2], [2])
    assert not list(tmp_path.glob(".out.spark_infer/*.stored"))


def test_a_run_goes_on_with_no_other_rows_where_its_own_are_gone(
    line: str, tmp_path: Path, breaks: Callable[[str], None]
) -> None:
    query = Query(line, {"path": str(tmp_path / "out")})
    breaks("seal:2:raise")
    with pytest.raises(InjectedError):
        query.run()
    breaks("")
    (stored,) = tmp_path.glob(".out.spark_infer/*.stored")
    stored.rename(tmp_path / "away")
    with pytest.raises(UnfinishedRunError, match="no longer as it was"):
        query.run()
    (tmp_path / "away").rename(stored)
    query.run()
    assert (query.times, times_of(tmp_path / "out")) == ([1], [1])


def test_too_few_rows_are_read_again_by_the_next_command(line: str, tmp_path: Path) -> None:
    query = Query(line, {"path": str(tmp_path / "out")}, min_rows=FILES * ROWS + 1)
    for number in (1, 2):
        with pytest.raises(SourceError, match="The source has 6 rows"):
            query.run()
        assert query.times == list(range(1, number + 1))
    assert not list(tmp_path.glob(".out.spark_infer/*.stored/files/*"))


def test_of_two_commands_at_once_one_stores_the_rows_and_both_score_them(line: str, tmp_path: Path) -> None:
    query = Query(line, {"path": str(tmp_path / "out"), "mode": "append"})
    with ThreadPoolExecutor() as threads:
        is_storing, other_waits = Event(), Event()
        query.before_reading = partial(Barrier(2).wait, 30)  # so that neither is finished before both have begun

        def while_storing() -> None:
            is_storing.set()
            other_waits.wait(10)

        query.while_storing = while_storing
        first = threads.submit(query.run)
        assert is_storing.wait(10)
        job = prepare_job(Storing(query.config, query), query.config)
        second = threads.submit(run_job, replace(job, deadline=Waiting(other_waits)))
        reports = [first.result(), second.result()]
    assert {report.run for report in reports} == {reports[0].run}
    assert (query.times, times_of(tmp_path / "out"), len(read(tmp_path / "out"))) == ([1], [1], FILES * ROWS)


class Waiting(Deadline):
    """No deadline; says when it is waited for somebody else."""

    def __init__(self, waits: Event) -> None:
        super().__init__(None, None)
        self._waits = waits

    def sleep(self, seconds: float) -> None:
        self._waits.set()
        super().sleep(seconds)
