"""The demo's table is written whole or not trusted, and its accuracy counts what can be known."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa
import pytest

from spark_infer.demo import flights
from spark_infer.demo.scored import SHOWN, Accuracy, measure, read_scored, some_rows


@pytest.fixture(scope="module")
def some_flights() -> pa.Table:
    table = flights.read_flights(flights.find_archive())
    return table.take(list(range(0, flights.FLIGHTS, 500)))


def test_what_a_killed_run_left_is_replaced_by_the_whole_table(some_flights: pa.Table, tmp_path: Path) -> None:
    whole, path = tmp_path / "whole", tmp_path / "flights"
    flights.write_flights(some_flights, whole, mark="mark")
    # Killed before the commit: data files, and an empty log.
    shutil.copytree(whole, path, ignore=shutil.ignore_patterns("*.json", "*.crc", "_staged_commits"))
    assert (path / "_delta_log").is_dir()
    assert len(list(path.rglob("*.parquet"))) == 12
    assert not flights.holds_flights(path, mark="mark")

    flights.write_flights(some_flights, path, mark="mark")
    assert flights.holds_flights(path, mark="mark")
    assert len(list(path.rglob("*.parquet"))) == 12
    read = read_scored(str(path))
    assert read.num_rows == some_flights.num_rows
    assert read.schema.field("dep_delay").type == pa.float64()
    assert read.schema.field("hour").type == pa.int64()
    assert read["dep_delay"].null_count == some_flights["dep_delay"].null_count > 0
    assert len(list(path.glob("month=*"))) == 12


def test_accuracy_counts_flights_whose_arrival_is_known() -> None:
    # late and said so, late and missed, on time twice (15 minutes is on time), and one that never arrived
    rows = [(16.0, 1), (99.0, 0), (15.0, 0), (-3.0, 0), (None, 1)]
    delays, said = zip(*rows, strict=True)
    scored = pa.table({"arr_delay": pa.array(delays, pa.float64()), "delayed": said})
    accuracy = measure(scored)
    assert accuracy == Accuracy(rows=4, share_right=0.75, share_late=0.5)
    assert Accuracy(10, 0.9, 0.2).share_right_by_guessing == 0.8


def test_the_rows_to_show_are_the_same_every_time(some_flights: pa.Table) -> None:
    scored = some_flights.slice(0, 50).append_column("delayed", pa.array([0] * 50))
    shown = some_rows(scored, 3)
    assert len(shown) == 3
    assert len(shown[0]) == len(SHOWN)
    assert some_rows(scored.sort_by([("flight_id", "descending")]), 3) == shown
