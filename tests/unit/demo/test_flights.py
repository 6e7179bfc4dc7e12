"""The demo's flights are the real ones with the types the model needs, and half a table is never trusted."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from spark_infer.demo import flights


@pytest.fixture(scope="module")
def table() -> pa.Table:
    return flights.read_flights(flights.find_archive())


def test_every_flight_is_read_once_and_numbered(table: pa.Table) -> None:
    assert table.num_rows == flights.FLIGHTS
    assert table["flight_id"].to_pylist()[:2] == [1, 2]
    assert pc.count_distinct(table["flight_id"]).as_py() == flights.FLIGHTS


def test_missing_values_stay_null_and_a_number_that_can_be_missing_is_double(table: pa.Table) -> None:
    # The counts are those that the data set's own documentation gives.
    assert {name: table[name].null_count for name in ("dep_delay", "arr_delay", "tailnum", "hour")} == {
        "dep_delay": 8255,
        "arr_delay": 9430,
        "tailnum": 2512,
        "hour": 0,
    }
    assert table.schema.field("dep_delay").type == pa.float64()
    assert table.schema.field("hour").type == pa.int64()


def test_the_day_of_week_is_the_calendars(table: pa.Table) -> None:
    some = table.take(list(range(0, flights.FLIGHTS, 20_011)))
    for row in some.select(["year", "month", "day", "day_of_week"]).to_pylist():
        assert row["day_of_week"] == date(row["year"], row["month"], row["day"]).isoweekday()


def commit(folder: Path, version: int, mark: str, files: list[str]) -> None:
    log = folder / "_delta_log"
    log.mkdir(parents=True, exist_ok=True)
    actions = [{"commitInfo": {"userMetadata": mark}}, *({"add": {"path": file}} for file in files)]
    (log / f"{version:020}.json").write_text("\n".join(json.dumps(action) for action in actions))


def test_a_table_whose_newest_commit_is_ours_and_whole_is_used_again(tmp_path: Path) -> None:
    (tmp_path / "month=1").mkdir()
    (tmp_path / "month=1" / "a b.parquet").touch()
    commit(tmp_path, 0, "mark", ["month=1/a%20b.parquet"])
    assert flights.holds_flights(tmp_path, mark="mark")


def test_files_without_a_commit_are_not_a_table(tmp_path: Path) -> None:
    (tmp_path / "_delta_log").mkdir()
    (tmp_path / "part-0.parquet").touch()
    assert not flights.holds_flights(tmp_path, mark="mark")
    assert not flights.holds_flights(tmp_path / "nothing", mark="mark")


def test_a_table_that_lost_a_file_is_not_used_again(tmp_path: Path) -> None:
    commit(tmp_path, 0, "mark", ["gone.parquet"])
    assert not flights.holds_flights(tmp_path, mark="mark")


def test_a_table_of_other_data_or_with_a_later_change_is_not_used_again(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").touch()
    commit(tmp_path, 0, "mark", ["a.parquet"])
    assert not flights.holds_flights(tmp_path, mark="other mark")
    commit(tmp_path, 1, "someone else", ["a.parquet"])
    assert not flights.holds_flights(tmp_path, mark="mark")
