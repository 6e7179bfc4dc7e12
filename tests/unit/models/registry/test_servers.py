from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from spark_infer.errors import RegistryUnavailableError
from spark_infer.models.registry.servers import Servers, check_folder, check_sqlite, is_sqlite, sqlite_file

_MLFLOW = "create table {0} (version_num text)"


def _database(path: Path, *statements: str) -> str:
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)
    return f"sqlite:///{path}"


def _mlflow_database(path: Path, revision: str) -> str:
    tables = [_MLFLOW.format(name) for name in ("alembic_version", "experiments", "registered_models")]
    return _database(path, *tables, f"insert into alembic_version values ('{revision}')")


def test_a_database_of_the_right_schema_passes_unchanged(tmp_path: Path) -> None:
    address = _mlflow_database(tmp_path / "a b#c.db", "r1")
    before = (tmp_path / "a b#c.db").read_bytes()
    check_sqlite(address, "r1")
    check_sqlite(address + "?timeout=3", "r1")
    assert (tmp_path / "a b#c.db").read_bytes() == before


def test_a_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(RegistryUnavailableError, match="There is no MLflow database"):
        check_sqlite(f"sqlite:///{tmp_path}/sub/typo.db", "r1")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("address", ["file://{}/mlruns", "{}/mlruns", "file://{}/foreign"])
def test_a_folder_that_is_not_mlflow_s_is_neither_made_nor_filled(tmp_path: Path, address: str) -> None:
    (tmp_path / "foreign").mkdir()
    with pytest.raises(RegistryUnavailableError, match="There is no MLflow store in the folder /") as caught:
        Servers(address.format(tmp_path), address.format(tmp_path)).client()
    assert "MLFLOW_TRACKING_URI" in caught.value.next_step
    assert [path.name for path in tmp_path.rglob("*")] == ["foreign"]


def test_a_folder_with_an_experiment_passes(tmp_path: Path) -> None:
    (tmp_path / "my runs" / "0").mkdir(parents=True)
    (tmp_path / "my runs" / "0" / "meta.yaml").touch()
    check_folder(tmp_path / "my runs")


def test_garbage_a_foreign_database_and_an_empty_file_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "garbage.db").write_bytes(b"not a database at all, but long enough to have a header" * 10)
    with pytest.raises(RegistryUnavailableError, match="cannot be read: file is not a database"):
        check_sqlite(f"sqlite:///{tmp_path}/garbage.db", "r1")
    foreign = _database(tmp_path / "foreign.db", "create table users (id int)")
    (tmp_path / "empty.db").touch()
    for address in (foreign, f"sqlite:///{tmp_path}/empty.db"):
        with pytest.raises(RegistryUnavailableError, match="not one of MLflow's"):
            check_sqlite(address, "r1")
    with closing(sqlite3.connect(tmp_path / "foreign.db")) as connection:
        assert connection.execute("select name from sqlite_master").fetchall() == [("users",)]


def test_a_truncated_database_is_refused(tmp_path: Path) -> None:
    address = _mlflow_database(tmp_path / "a.db", "r1")
    (tmp_path / "a.db").write_bytes((tmp_path / "a.db").read_bytes()[:5000])
    with pytest.raises(RegistryUnavailableError, match="cannot be read"):
        check_sqlite(address, "r1")


def test_a_database_of_another_mlflow_is_not_migrated(tmp_path: Path) -> None:
    address = _mlflow_database(tmp_path / "a.db", "old")
    with pytest.raises(RegistryUnavailableError, match=r"has schema old; .* works with new") as caught:
        check_sqlite(address, "new")
    assert "mlflow db upgrade" in caught.value.next_step


@pytest.mark.parametrize("address", ["sqlite://", "sqlite:///:memory:", "sqlite:///?key=hunter2"])
def test_a_database_in_memory_holds_no_models(address: str) -> None:
    with pytest.raises(RegistryUnavailableError, match="names no database file") as caught:
        sqlite_file(address)
    assert "hunter2" not in str(caught.value)


def test_addresses_are_recognised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_sqlite("sqlite:///a.db")
    assert is_sqlite("sqlite+pysqlite:///a.db")
    assert not is_sqlite("postgresql://h/a")
    assert not is_sqlite("/a/sqlite")
    monkeypatch.chdir(tmp_path)
    assert sqlite_file("sqlite:///a.db") == tmp_path / "a.db"


@pytest.mark.matrix
def test_files_behind_a_server_are_those_of_the_server_that_was_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://another:1")
    folder: Any = Servers("http://here:5000", "http://here:5000").open_folder("mlflow-artifacts:/0/run/artifacts/model")
    assert folder.artifact_uri == "http://here:5000/api/2.0/mlflow-artifacts/artifacts/0/run/artifacts/model"
