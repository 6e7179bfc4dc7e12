"""The three doors on Spark Connect: on a server that the program starts, and on one that runs beside it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import deltalake
import pyarrow.parquet as pq
import pytest

from tests.connect.conftest import USER_STEPS, Server, run, save_line

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

BIG = 2**53 + 1
SUM = 2.0 * sum(range(1000))

# As with the package pyspark-client, which has neither SparkContext nor py4j; and without Java.
THIN_CLIENT = {"SPARK_SKIP_CONNECT_COMPAT_TESTS": "1", "JAVA_HOME": "/nowhere", "SPARK_HOME": "/nowhere"}


# A server of the program's own is for soak, as are the tables of all doors side by side (test_same_tables.py).
@pytest.fixture(scope="module", params=[pytest.param("own server", marks=pytest.mark.soak), "server beside"])
def seen(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What `doors.py` saw, and its folder."""
    folder = tmp_path_factory.mktemp("doors")
    save_line(folder / "model")
    (folder / "user_steps.py").write_text(USER_STEPS)
    beside = request.param == "server beside"
    server: Server | None = request.getfixturevalue("server") if beside else None
    program = str(Path(__file__).parent / "doors.py")
    command = [sys.executable, program, server.url if server else "local[2]", str(folder)]
    printed = run(command, folder, THIN_CLIENT if beside else {})
    return {**json.loads(printed.splitlines()[-1]), "server": server, "folder": folder}


def test_the_session_is_a_connect_one_and_a_thin_client_loads_no_part_of_classic_spark(seen: Any) -> None:
    assert seen["session"] == "pyspark.sql.connect.session"
    assert seen["time zone"] == "UTC"
    assert seen["classic modules"] == ([] if seen["server"] else ["py4j", "pyspark.core.context"])


def test_a_column_binds_by_name_expression_struct_and_position(seen: Any) -> None:
    ways = ["by name", "by expression", "by position", "by struct", "sql struct", "sql columns"]
    assert seen["column"] == {way: ["double", SUM] for way in ways}


def test_a_frame_keeps_ids_that_a_double_does_not_hold(seen: Any) -> None:
    assert seen["frame"] == [[BIG, 0.0], [BIG + 1, 2.0], [BIG + 2, 4.0]]


@pytest.mark.parametrize(
    ("job", "rows", "version"), [("parquet", 1000, None), ("delta", 1000, 0), ("delta half", 500, 1)]
)
def test_the_report_of_a_table_is_right(seen: Any, job: str, rows: int, version: int | None) -> None:
    report = seen["tables"]["reports"][job]
    assert (report["rows_read"], report["rows_scored"], report["target_version"]) == (rows, rows, version)
    assert report["loads"] + report["cache_hits"] >= 1
    assert 1 <= report["workers"] <= 2
    assert report["files_written"] >= 1
    assert report["task_seconds"]["predict"] > 0
    assert report["warnings"] == []


def test_the_workers_of_a_server_share_a_model_host(seen: Any) -> None:
    report = seen["tables"]["reports"]["hosted"]
    assert (report["rows_scored"], report["loads"], report["host_restarts"]) == (1000, 1, 0)
    assert report["host_clients"] == report["workers"]
    assert report["hosted_batches"] == report["batches"] > 0
    rows = pq.read_table(seen["folder"] / "out_hosted").sort_by("id")
    assert rows["id"].to_pylist() == list(range(BIG, BIG + 1000))
    assert [round(value, 6) for value in rows["prediction"].to_pylist()] == [2.0 * i for i in range(1000)]


def test_a_new_table_of_the_catalog_is_written_and_its_report_says_what_it_lacks(seen: Any) -> None:
    report = seen["tables"]["reports"]["catalog"]
    assert (report["rows_scored"], seen["tables"]["catalog"]) == (1000, SUM)
    assert "Spark kept no figures of the tasks" in report["warnings"][0]


def test_the_tables_hold_each_row_once_with_its_own_prediction(seen: Any) -> None:
    for table in (
        pq.read_table(seen["folder"] / "out_parquet"),
        deltalake.DeltaTable(str(seen["folder"] / "out_delta")).to_pyarrow_table(),
    ):
        rows = table.sort_by("id")
        assert rows["id"].to_pylist() == list(range(BIG, BIG + 1000))
        assert [round(value, 6) for value in rows["prediction"].to_pylist()] == [2.0 * i for i in range(1000)]


def test_the_job_entry_runs_on_the_session_that_is_there_and_leaves_it_running(seen: Any) -> None:
    assert seen["entries"] == {"job": 0, "runs on": 3}
    assert deltalake.DeltaTable(str(seen["folder"] / "out_job")).to_pyarrow_table().num_rows == 1000


def test_all_of_this_runs_on_a_session_that_refuses_what_serverless_compute_refuses(seen: Any) -> None:
    expected = {"spark.master", "spark.task.cpus", "spark.sql.caseSensitive", "spark.sql.parquet.outputTimestampType"}
    assert expected <= set(seen["refused settings"])


def test_progress_counts_up_to_the_tasks_of_a_stage(seen: Any) -> None:
    progress = seen["tables"]["progress"]
    assert progress
    assert all(0 <= done <= total for done, total in progress)
    assert max(done for done, _ in progress) > 0


def test_a_table_on_a_disk_that_is_not_ours_is_left_to_the_server(seen: Any) -> None:
    found = seen["elsewhere"]
    assert found["same disk"]
    assert (found["report"]["rows_scored"], found["report"]["target_version"]) == (500, 0)
    assert found["parquet target"][0] == "TargetError"
    assert "cannot reach" in found["parquet target"][1]
    assert found["target is there"][0] == "TargetError"
    assert found["no source"][0] == "SourceError"


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("no table", "SourceError", "There is nothing at"),
        ("no column", "SourceError", "The condition `where` does not fit"),
        ("no column in table", "SourceError", "there is no column 'nix'"),
        ("target is there", "TargetError", "exists already"),
        ("merge", "TargetError", "spark.databricks.delta.write.txnAppId"),
        ("schema", "SchemaMismatchError", "column 'n'"),
        ("value", "InputValueError", "holds 1 null(s)"),
        ("dead worker", "WorkerLostError", "died without an exception"),
        ("step", "StepFailedError", "'user_steps:complain' raised"),
        ("no library", "EnvironmentProblem", "has no nosuchlibrary"),
        ("other python", "EnvironmentProblem", "this is Python 3.8"),
    ],
)
def test_an_error_comes_back_typed_without_a_value_or_a_stack(seen: Any, name: str, error: str, words: str) -> None:
    kind, message = seen["errors"][name]
    assert kind == error, message
    assert words in message
    assert "12345" not in message
    assert "SQLSTATE: 38000" not in message
    assert "\tat org.apache" not in message
    assert seen["errors"]["left behind"] == ["False"]


def test_the_package_and_the_model_travel_to_a_server_that_has_another_version(seen: Any) -> None:
    server: Server | None = seen["server"]
    if server is None:
        pytest.skip("the program's own server has its packages and its store")
    stores = list((server.folder / "store" / "models" / "sha256").glob("[0-9a-f]" * 64))
    digest = seen["tables"]["reports"]["parquet"]["model_digest"]
    assert digest in [store.name for store in stores]
