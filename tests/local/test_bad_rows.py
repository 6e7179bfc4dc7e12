"""Rows that the model fails for, in whole jobs: left without a prediction, counted, and too many of them refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from spark_infer import ScoringJob, score_table
from spark_infer.config import JobConfig
from spark_infer.errors import (
    ConfigError,
    PlanError,
    PredictError,
    SchemaMismatchError,
    TargetError,
    TooManyBadRowsError,
)
from spark_infer.runtime.failpoints import InjectedError
from tests.local.jobs import job, read
from tests.pairwise import pairwise

pytestmark = pytest.mark.usefixtures("in_this_process")

POISON = 500.0
ROWS = 1_000
NULL = {"on_error": "null", "batch_size": 100}


def rows_in(folder: Path, bad: set[int]) -> str:
    """Four files of 250 rows, of which the model fails for some."""
    folder.mkdir()
    for start in range(0, ROWS, ROWS // 4):
        ids = np.arange(start, start + ROWS // 4)
        values = [POISON if key in bad else key / 4 for key in ids.tolist()]
        pq.write_table(pa.table({"id": ids, "x": values}), folder / f"{start}.parquet")
    return str(folder)


@pytest.mark.parametrize("kind", ["delta", "parquet"])
def test_bad_rows_have_no_prediction_and_a_reason(moody: str, tmp_path: Path, kind: str) -> None:
    bad = {0, 251, 252, 999}
    source = rows_in(tmp_path / "in", bad)
    report = job(moody, source, {"path": str(tmp_path / "out"), "format": kind}, score=NULL).run()
    rows = read(tmp_path / "out")
    assert [row["id"] for row in rows] == [*range(ROWS)]
    for row in rows:
        if row["id"] in bad:
            assert row["prediction"] is None
            assert row["prediction_error"]["error_class"] == "ValueError"
            assert "500" not in row["prediction_error"]["error_message"]
        else:
            assert (row["prediction"], row["prediction_error"]) == (row["id"] / 4, None)
    assert (report.rows_read, report.rows_scored, report.bad_rows) == (ROWS, ROWS, 4)
    assert report.error_classes == {"ValueError": 4}
    assert "4 without a prediction: 4 ValueError" in str(report)


def test_without_on_error_the_first_bad_row_ends_the_job(moody: str, tmp_path: Path) -> None:
    source = rows_in(tmp_path / "in", {460})
    with pytest.raises(PredictError, match="raised on a batch of") as failed:
        job(moody, source, {"path": str(tmp_path / "out")}, score={"batch_size": 100}, units={"bytes": 1}).run()
    assert not (tmp_path / "out").exists()
    where = failed.value.details[-2:]
    assert where[0].startswith("in unit 1, task 1, with model version ")
    assert where[0].endswith(", after 200 rows of:")
    assert where[1] == "  250.parquet"


@pytest.mark.parametrize("column", ["why", ""])
def test_the_column_of_reasons_has_the_name_asked_for_or_none(moody: str, tmp_path: Path, column: str) -> None:
    source = rows_in(tmp_path / "in", {5})
    score_table(
        source=source,
        target=str(tmp_path / "out"),
        model=moody,
        engine="local",
        on_error="null",
        error_column=column,
    )
    row = read(tmp_path / "out")[5]
    assert row["prediction"] is None
    assert [name for name in row if name not in ("id", "x", "prediction")][:-3] == ([column] if column else [])


def test_a_column_of_reasons_with_the_name_of_another_column_is_refused(moody: str, tmp_path: Path) -> None:
    source = rows_in(tmp_path / "in", set())
    for name in ("prediction", "ID"):
        with pytest.raises(PlanError, match="name of"):
            job(moody, source, {"path": str(tmp_path / "out")}, score={**NULL, "error_column": name}).plan()


def test_bad_rows_of_all_units_together_stop_the_job_and_the_unit_is_not_published(moody: str, tmp_path: Path) -> None:
    bad = {*range(10), *range(250, 260), *range(500, 510), *range(750, 760)}
    source = rows_in(tmp_path / "in", bad)
    pq.write_table(pa.table({"id": [-1], "x": [0.0]}), tmp_path / "first.parquet")
    target = {"path": str(tmp_path / "out"), "mode": "append"}
    job(moody, str(tmp_path / "first.parquet"), target, score=NULL).run()
    limited: dict[str, Any] = {"units": {"bytes": 1}, "score": {**NULL, "max_bad_rows": 25}}
    with pytest.raises(TooManyBadRowsError, match=r"30 of the first 750 rows, and max_bad_rows is 25"):
        job(moody, source, target, **limited).run()
    assert [row["id"] for row in read(tmp_path / "out")] == [-1, *range(500)]
    # The limit decides no row: with another one the same run goes on.
    limited["score"]["max_bad_rows"] = 40
    report = job(moody, source, target, **limited).run()
    assert (report.units_before, report.bad_rows, len(read(tmp_path / "out"))) == (2, 40, ROWS + 1)


def test_a_job_all_of_whose_rows_fail_stops_at_once(moody: str, tmp_path: Path) -> None:
    source = rows_in(tmp_path / "in", {*range(ROWS)})
    with pytest.raises(TooManyBadRowsError, match=r"of the first 100 rows, and max_bad_fraction is 0.1"):
        job(moody, source, {"path": str(tmp_path / "out")}, score=NULL).run()
    small = tmp_path / "small.parquet"
    pq.write_table(pa.table({"id": [1, 2], "x": [POISON, POISON]}), small)
    with pytest.raises(TooManyBadRowsError, match="2 of the first 2 rows"):
        job(moody, str(small), {"path": str(tmp_path / "out")}, score=NULL).run()
    assert not (tmp_path / "out").exists()


def test_limits_without_a_policy_for_bad_rows_are_refused(moody: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be used") as refused:
        score_table(source="in", target="out", model=moody, engine="local", max_bad_rows=3)
    assert "`max_bad_rows` goes with `on_error: null`" in str(refused.value)


def quarantined(folder: Path) -> list[dict[str, Any]]:
    table = DeltaTable(folder).to_pyarrow_table() if (folder / "_delta_log").exists() else read_folder(folder)
    return sorted(table.to_pylist(), key=lambda row: row["id"])


def read_folder(folder: Path) -> pa.Table:
    return pq.read_table(
        folder, partitioning=pa.dataset.partitioning(pa.schema([("run_id", pa.string())]), flavor="hive")
    )


def quarantine_job(moody: str, source: str, tmp_path: Path, kind: str, **target: Any) -> ScoringJob:
    return job(
        moody,
        source,
        {"path": str(tmp_path / "out"), "format": kind, **target},
        score={"on_error": "quarantine", "batch_size": 100},
        quarantine={"path": str(tmp_path / "aside"), "format": kind, "columns": ["id"]},
        units={"bytes": 1},
    )


@pytest.mark.parametrize("kind", ["delta", "parquet"])
def test_bad_rows_go_to_a_table_of_their_own(moody: str, tmp_path: Path, kind: str) -> None:
    bad = [0, 251, 252, 999]
    report = quarantine_job(moody, rows_in(tmp_path / "in", set(bad)), tmp_path, kind).run()
    assert [row["id"] for row in read(tmp_path / "out")] == [key for key in range(ROWS) if key not in bad]
    aside = quarantined(tmp_path / "aside")
    assert [row["id"] for row in aside] == bad
    assert [(row["source_file"], row["source_row"]) for row in aside] == [
        ("0.parquet", 0),
        ("250.parquet", 1),
        ("250.parquet", 2),
        ("750.parquet", 249),
    ]
    assert {row["error_class"] for row in aside} == {"ValueError"}
    assert {row["run_id"] for row in aside} == {report.run_id}
    assert {row["model_version"] for row in aside} == {report.model_version}
    assert len({row["unit"] for row in aside}) == 3
    assert (report.rows_read, report.rows_scored, report.bad_rows, report.rows_quarantined) == (ROWS, 996, 4, 4)
    assert not report.warnings
    assert f"4 quarantined in {tmp_path / 'aside'}: 4 ValueError" in str(report)


@pytest.mark.parametrize(
    ("point", "mode", "kind"),
    pairwise(
        ["seal:2", "sealed:3", "placed:1", "placed:2", "finish:1", "published:1"],
        ["error_if_exists", "append"],
        ["delta", "parquet"],
    ),
)
def test_a_run_that_breaks_quarantines_each_row_once(
    moody: str, tmp_path: Path, breaks: Callable[[str], None], kind: str, mode: str, point: str
) -> None:
    bad = {5, 255, 505, 755}
    source = rows_in(tmp_path / "in", bad)
    if mode == "append":
        pq.write_table(pa.table({"id": [-1], "x": [0.0]}), tmp_path / "first.parquet")
        quarantine_job(moody, str(tmp_path / "first.parquet"), tmp_path, kind).run()
    breaks(f"{point}:raise")
    with pytest.raises(InjectedError):
        quarantine_job(moody, source, tmp_path, kind, mode=mode).run()
    breaks("")
    quarantine_job(moody, source, tmp_path, kind, mode=mode).run()
    scored = [row["id"] for row in read(tmp_path / "out") if row["id"] >= 0]
    assert scored == [key for key in range(ROWS) if key not in bad]
    assert [row["id"] for row in quarantined(tmp_path / "aside")] == sorted(bad)


def test_rows_of_a_condition_and_of_deleted_rows_keep_their_place_in_the_file(moody: str, tmp_path: Path) -> None:
    source = rows_in(tmp_path / "in", {7, 600})
    scoring = quarantine_job(moody, source, tmp_path, "delta").config
    condition = JobConfig.model_validate({**scoring.model_dump(), "source": {"path": source, "where": "id > 4"}})
    ScoringJob(condition).run()
    aside = quarantined(tmp_path / "aside")
    assert [(row["source_file"], row["source_row"]) for row in aside] == [("0.parquet", 7), ("500.parquet", 100)]


def test_a_run_all_of_whose_rows_are_bad_is_not_said_to_have_none(moody: str, tmp_path: Path) -> None:
    rows_in(tmp_path / "in", {*range(ROWS)})
    report = job(
        moody,
        {"path": str(tmp_path / "in"), "where": "id >= 0"},
        {"path": str(tmp_path / "out"), "format": "delta"},
        score={"on_error": "quarantine", "max_bad_fraction": 1.0, "deduplicate": "never"},
        quarantine={"path": str(tmp_path / "aside"), "format": "delta", "columns": ["id"]},
    ).run()
    assert (report.rows_read, report.rows_scored, report.rows_quarantined) == (ROWS, 0, ROWS)
    assert "equal to one of them" not in str(report)
    assert not any("no row of the source" in each for each in report.warnings)


def test_a_quarantine_that_cannot_be_written_is_refused_before_any_task(moody: str, tmp_path: Path) -> None:
    source = rows_in(tmp_path / "in", set())
    planned = quarantine_job(moody, source, tmp_path, "delta").config.model_dump()

    def refused(error: type[Exception], text: str, **changed: Any) -> None:
        wrong = JobConfig.model_validate({**planned, "quarantine": {**planned["quarantine"], **changed}})
        with pytest.raises(error, match=text):
            ScoringJob(wrong).plan()

    refused(SchemaMismatchError, "does not have", columns=["ID2"])
    refused(TargetError, "shares its folder with the target", path=str(tmp_path / "out"))
    refused(TargetError, "among the ledgers of a table's runs", path=str(tmp_path / ".out.spark_infer" / "bad"))
    refused(TargetError, "The quarantine table .* shares its folder with the source", path=source, format=None)
    other = tmp_path / "other"
    pq.write_to_dataset(pa.table({"id": [1], "x": [1.0]}), other)
    refused(TargetError, "do not fit the quarantine table", path=str(other), format=None)
    with pytest.raises(ValueError, match="go together"):
        JobConfig.model_validate({**planned, "quarantine": None})


def test_of_100_000_rows_in_three_partitions_seven_are_set_aside(moody: str, tmp_path: Path) -> None:
    bad = {0, 9_999, 33_333, 33_334, 66_666, 70_000, 99_999}
    ids = np.arange(100_000)
    values = np.where(np.isin(ids, [*bad]), POISON, ids / 1024)
    table = pa.table({"id": ids, "x": values, "part": ids // 33_334})
    pq.write_to_dataset(table, tmp_path / "in", partition_cols=["part"], basename_template="{i}.parquet")
    target = {"path": str(tmp_path / "out"), "format": "delta"}
    report = job(
        moody,
        {"path": str(tmp_path / "in")},
        target,
        score={"on_error": "quarantine", "max_bad_rows": 7},
        quarantine={"path": str(tmp_path / "aside"), "format": "delta", "columns": ["id", "part"]},
    ).run()
    scored = DeltaTable(tmp_path / "out").to_pyarrow_table().sort_by("id")
    good = [key for key in ids.tolist() if key not in bad]
    assert scored.column("id").to_pylist() == good
    assert np.array_equal(scored.column("prediction").to_numpy(), np.array(good) / 1024)
    assert {
        row["id"]: (row["part"], row["source_file"], row["source_row"]) for row in quarantined(tmp_path / "aside")
    } == {key: (key // 33_334, f"part={key // 33_334}/0.parquet", key % 33_334) for key in bad}
    assert (report.rows_read, report.rows_scored, report.rows_quarantined) == (100_000, 99_993, 7)
    assert report.rows_predicted is not None
    assert report.rows_predicted < 6 * 100_000


def test_of_100_000_rows_that_are_all_bad_no_task_scores_more_than_its_first_batch(moody: str, tmp_path: Path) -> None:
    ids = np.arange(100_000)
    table = pa.table({"id": ids, "x": np.full(100_000, POISON), "part": ids // 33_334})
    pq.write_to_dataset(table, tmp_path / "in", partition_cols=["part"], basename_template="{i}.parquet")
    with pytest.raises(TooManyBadRowsError, match=r"10,000 of the first 10,000 rows, and max_bad_fraction") as stopped:
        job(
            moody,
            {"path": str(tmp_path / "in")},
            {"path": str(tmp_path / "out"), "format": "delta"},
            score={"on_error": "quarantine"},
            quarantine={"path": str(tmp_path / "aside"), "format": "delta", "columns": ["id"]},
        ).run()
    assert ", after 0 rows of:" in str(stopped.value)
    assert not (tmp_path / "out").exists()
    assert quarantined(tmp_path / "aside") == []
