"""Summaries of the predictions, in whole jobs: equal to what a reader computes of all of them, and there once."""

from __future__ import annotations

import json
import math
import shutil
import statistics
from collections import defaultdict
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from spark_infer import ScoringJob, score_table
from spark_infer.errors import PlanError, SchemaMismatchError, TargetError, WriteError
from spark_infer.runtime.failpoints import InjectedError
from tests.local.jobs import job, read

pytestmark = pytest.mark.usefixtures("in_this_process")

COLUMNS = {
    "rows": "count",
    "known": "count(segment)",
    "mean": "avg(prediction)",
    "worst": "max(prediction)",
    "first": "min(id)",
    "total": "sum(id)",
    "spread": "stddev(prediction)",
    "flagged": "count_if(prediction > 400)",
}
OF_RUN = ("model_name", "model_version", "scored_at", "job_params", "run_id")


def rows_in(folder: Path, *, start: int = 0) -> str:
    """Four files of 250 rows: two days, segments of which one is null, and a column that no target keeps."""
    folder.mkdir()
    for first in range(start, start + 1_000, 250):
        ids = np.arange(first, first + 250)
        segments = [None if key % 5 == 0 else f"s{key % 5}" for key in ids.tolist()]
        days = [f"2026-11-0{1 + key % 2}" for key in ids.tolist()]
        table = pa.table({"id": ids, "x": ids / 4, "day": days, "segment": segments, "region": ids % 3})
        pq.write_table(table, folder / f"{first}.parquet")
    return str(folder)


def summary_job(model: str, source: str, tmp_path: Path, kind: str = "parquet", **more: Any) -> ScoringJob:
    target = {"path": str(tmp_path / "out"), "format": kind, **more.pop("target", {})}
    wanted = {"path": str(tmp_path / "by_day"), "format": kind, "by": ["day", "segment"], "columns": COLUMNS}
    aggregate = wanted | more.pop("aggregate", {})
    score = {"on_error": more.pop("on_error", "fail")}
    return job(
        model, source, target, aggregate=aggregate, units={"bytes": 1}, score={"batch_size": 64, **score}, **more
    )


def summary(folder: Path) -> list[dict[str, Any]]:
    table = DeltaTable(folder).to_pyarrow_table() if (folder / "_delta_log").exists() else pq.read_table(folder)
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def expected(rows: list[dict[str, Any]]) -> dict[tuple[Any, ...], dict[str, Any]]:
    """What a reader computes of all predictions, in plain Python."""
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[row["day"], row["segment"]].append(row)
    return {
        key: {
            "rows": len(group),
            "known": sum(row["segment"] is not None for row in group),
            "mean": math.fsum(row["prediction"] for row in group) / len(group),
            "worst": max(row["prediction"] for row in group),
            "first": min(row["id"] for row in group),
            "total": sum(row["id"] for row in group),
            "spread": statistics.stdev(row["prediction"] for row in group),
            "flagged": sum(row["prediction"] > 400 for row in group),
        }
        for key, group in groups.items()
    }


def assert_summary(found: list[dict[str, Any]], rows: list[dict[str, Any]]) -> None:
    wanted = expected(rows)
    assert len(found) == len(wanted)
    for row in found:
        of_group = wanted[row["day"], row["segment"]]
        exact = {name: row[name] for name in of_group if name not in ("mean", "spread")}
        assert exact == {name: of_group[name] for name in exact}
        assert math.isclose(row["mean"], of_group["mean"], rel_tol=1e-13)
        assert math.isclose(row["spread"], of_group["spread"], rel_tol=1e-12)


@pytest.mark.parametrize("kind", ["delta", "parquet"])
def test_the_summary_is_that_of_all_predictions(line: str, tmp_path: Path, kind: str) -> None:
    report = summary_job(line, rows_in(tmp_path / "in"), tmp_path, kind).run()
    found = summary(tmp_path / "by_day")
    assert_summary(found, read(tmp_path / "out"))
    assert {tuple(row[name] for name in ("model_version", "run_id")) for row in found} == {
        (report.model_version, report.run_id)
    }
    assert set(found[0]) == {"day", "segment", *COLUMNS, *OF_RUN}
    assert (report.units, report.summary_rows, report.warnings) == (4, 10, ())
    assert f"10 groups summarised in {tmp_path / 'by_day'}" in str(report)


@pytest.mark.parametrize(
    ("kind", "mode", "point"),
    [
        ("delta", "append", "finish:1"),
        ("delta", "overwrite", "summarised:1"),
        ("parquet", "append", "summarised:1"),
        ("parquet", "overwrite", "published:1"),
    ],
)
def test_a_run_that_breaks_adds_its_summary_once(
    line: str, tmp_path: Path, breaks: Callable[[str], None], kind: str, mode: str, point: str
) -> None:
    first = summary_job(line, rows_in(tmp_path / "first", start=5_000), tmp_path, kind).run()
    source = rows_in(tmp_path / "in")
    breaks(f"{point}:raise")
    with pytest.raises(InjectedError):
        summary_job(line, source, tmp_path, kind, target={"mode": mode}).run()
    breaks("")
    report = summary_job(line, source, tmp_path, kind, target={"mode": mode}).run()
    again = summary_job(line, source, tmp_path, kind, target={"mode": mode}).run()
    found = summary(tmp_path / "by_day")
    scored = [row for row in read(tmp_path / "out") if row["id"] < 5_000]
    assert_summary([row for row in found if row["run_id"] == report.run_id], scored)
    kept = [row for row in found if row["run_id"] == first.run_id]
    assert (len(kept), len(found)) == ((10, 20) if mode == "append" else (0, 10))
    assert (report.summary_rows, again.already_done, again.summary_rows) == (10, True, 10)
    assert [path.name for path in (tmp_path / ".out.spark_infer").rglob("*.parquet")] == []


def test_a_night_that_is_scored_again_has_one_summary(line: str, tmp_path: Path) -> None:
    document = summary_job(line, rows_in(tmp_path / "in"), tmp_path, "delta").config.model_dump(exclude_defaults=True)
    document["params"] = {"day": {"type": "string"}}
    document["source"]["where"] = "day = ${params.day}"
    document["target"] |= {"mode": "overwrite_partitions", "partitions": {"day": ["${params.day}"]}}
    (tmp_path / "job.yaml").write_text(json.dumps(document))
    runs = []
    for day, new_run in (("2026-11-01", False), ("2026-11-02", False), ("2026-11-01", True)):
        night = ScoringJob.from_yaml(tmp_path / "job.yaml", params={"day": day})
        runs.append(night.run(new_run=new_run).run_id)
    found = summary(tmp_path / "by_day")
    assert_summary(found, read(tmp_path / "out"))
    assert {(row["day"], row["job_params"], row["run_id"]) for row in found} == {
        ("2026-11-01", "day=2026-11-01", runs[2]),
        ("2026-11-02", "day=2026-11-02", runs[1]),
    }


@pytest.mark.parametrize("kind", ["delta", "parquet"])
def test_a_summary_that_was_deleted_is_missed_and_made_again(line: str, tmp_path: Path, kind: str) -> None:
    first, gone = rows_in(tmp_path / "in"), "is gone, and with it the groups of 1 finished run: "
    assert not summary_job(line, first, tmp_path, kind, target={"mode": "append"}).run().warnings
    shutil.rmtree(tmp_path / "by_day")
    again = summary_job(line, first, tmp_path, kind, target={"mode": "append"}).run()
    assert again.already_done
    assert gone in again.warnings[-1]
    later = summary_job(line, first, tmp_path, kind, target={"mode": "append"})
    assert gone in later.plan(new_run=True).warnings[-1]
    report = later.run(new_run=True)
    assert gone in report.warnings[-1]
    assert {row["run_id"] for row in summary(tmp_path / "by_day")} == {report.run_id}


def test_quarantined_rows_are_not_summarised_and_a_column_that_is_not_kept_can_be_grouped_by(
    moody: str, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    values = [500.0 if key in (3, 8) else key / 4 for key in range(10)]
    pq.write_table(pa.table({"id": range(10), "x": values, "region": [1, 2] * 5}), tmp_path / "in" / "a.parquet")
    report = summary_job(
        moody,
        str(tmp_path / "in"),
        tmp_path,
        target={"keep": ["id"]},
        aggregate={"by": "region", "columns": {"rows": "count", "worst": "max(prediction)", "late": "count_if(x > 2)"}},
        quarantine={"path": str(tmp_path / "aside"), "columns": ["id"]},
        on_error="quarantine",
    ).run()
    found = [(row["region"], row["rows"], row["worst"], row["late"]) for row in summary(tmp_path / "by_day")]
    assert found == [(1, 4, 1.5, 0), (2, 4, 2.25, 1)]
    assert (report.rows_scored, report.rows_quarantined, "region" in read(tmp_path / "out")[0]) == (8, 2, False)


def test_the_plan_shows_the_summary(line: str, tmp_path: Path) -> None:
    plan = summary_job(line, rows_in(tmp_path / "in"), tmp_path).plan()
    assert f"then a summary by day, segment ({', '.join(COLUMNS)}): make the Parquet table" in plan.write


def test_a_summary_that_cannot_be_is_refused_before_any_task(line: str, tmp_path: Path) -> None:
    source = rows_in(tmp_path / "in")

    def refused(error: type[Exception], text: str, **changed: Any) -> None:
        with pytest.raises(error, match=text):
            summary_job(line, source, tmp_path, **changed).plan()

    refused(SchemaMismatchError, r"no column 'dya' \(did you mean 'day'", aggregate={"by": ["dya"]})
    refused(SchemaMismatchError, "do not make groups", aggregate={"by": ["prediction"]})
    refused(SchemaMismatchError, "takes no column of type string", aggregate={"columns": {"a": "avg(day)"}})
    refused(SchemaMismatchError, r"count rows with count_if", aggregate={"columns": {"a": "sum(prediction > 0.9)"}})
    refused(SchemaMismatchError, "cannot be counted", aggregate={"columns": {"a": "count_if(x + 1 > 2)"}})
    refused(SchemaMismatchError, "is there twice", aggregate={"columns": {"run_id": "count"}})
    refused(TargetError, "shares its folder with the target", aggregate={"path": str(tmp_path / "out")})
    refused(
        PlanError,
        "aggregate.by lacks day",
        target={"mode": "overwrite_partitions", "partitions": {"day": ["2026-11-01"]}},
        aggregate={"by": "segment"},
    )


def test_score_table_takes_the_summary_as_a_mapping(line: str, tmp_path: Path) -> None:
    wanted = {"path": tmp_path / "by_day", "columns": {"rows": "count"}}
    source = rows_in(tmp_path / "in")
    report = score_table(source=source, target=str(tmp_path / "out"), model=line, engine="local", aggregate=wanted)
    assert [row["rows"] for row in summary(tmp_path / "by_day")] == [1_000]
    assert report.summary_rows == 1


def test_decimals_are_added_exactly_over_all_tasks_or_not_at_all(line: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number, price in enumerate([6 * 10**37, 5 * 10**37, -2 * 10**37]):
        prices = pa.array([Decimal(price), Decimal(1)], pa.decimal128(38, 0))
        pq.write_table(pa.table({"x": [1.0, 2.0], "price": prices}), tmp_path / "in" / f"{number}.parquet")
    paid = {"by": [], "columns": {"paid": "sum(price)"}}
    scoring = summary_job(line, str(tmp_path / "in"), tmp_path, aggregate=paid)
    scoring.run()
    assert [row["paid"] for row in summary(tmp_path / "by_day")] == [9 * 10**37 + 3]
    (tmp_path / "in" / "2.parquet").unlink()
    too_large = summary_job(
        line, str(tmp_path / "in"), tmp_path, target={"path": str(tmp_path / "more")}, aggregate=paid
    )
    with pytest.raises(WriteError, match="paid of `aggregate` is too large"):
        too_large.run()
    assert not (tmp_path / "more").exists()
