"""The demo's model is registered once for each state of code and data, and is right more often than guessing."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from spark_infer.demo import flights, train
from tests.database import new_database

# MLflow and its database layer warn about their own affairs; the demo sends that to its log.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def table() -> pa.Table:
    return flights.read_flights(flights.find_archive())


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    import mlflow

    before = mlflow.get_tracking_uri()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo").mkdir()
    new_database(tmp_path / "demo" / "mlflow.db")
    yield tmp_path
    mlflow.set_tracking_uri(before)
    mlflow.set_registry_uri(before)


def champion(read: pa.Table, mark: str) -> train.Champion:
    return train.ensure_champion(
        lambda: read, tracking_uri="sqlite:///demo/mlflow.db", artifacts=Path("demo/artifacts"), mark=mark
    )


def test_a_version_is_registered_once_for_each_state_of_code_and_data(here: Path, table: pa.Table) -> None:
    import mlflow

    def unread() -> pa.Table:
        raise AssertionError("an up-to-date champion needs no flights")

    assert champion(table, "one") == train.Champion("1", 244_737)
    again = train.ensure_champion(
        unread, tracking_uri="sqlite:///demo/mlflow.db", artifacts=Path("demo/artifacts"), mark="one"
    )
    assert again == train.Champion("1", None)
    few = table.slice(0, 20_000)
    assert champion(few, "two").version == "2"

    # The current folder holds the demo and nothing that MLflow put there by itself.
    assert [path.name for path in here.iterdir()] == ["demo"]

    client = mlflow.MlflowClient("sqlite:///demo/mlflow.db", "sqlite:///demo/mlflow.db")
    assert client.get_model_version_by_alias(train.MODEL, train.ALIAS).version in (2, "2")
    signature = mlflow.models.get_model_info(f"models:/{train.MODEL}@{train.ALIAS}").signature
    assert [(column.name, column.type.name, column.required) for column in signature.inputs] == [
        ("carrier", "string", True),
        ("origin", "string", True),
        ("dest", "string", True),
        ("hour", "long", True),
        ("distance", "long", True),
        ("day_of_week", "long", True),
        ("dep_delay", "double", False),
    ]
    assert [column.name for column in signature.outputs] == [train.OUTPUT]

    # A version whose files are gone is trained again.
    for file in here.glob("demo/artifacts/**/MLmodel"):
        file.unlink()
    assert champion(few, "two").version == "3"


def test_only_flights_before_october_with_a_known_arrival_are_learned_from(table: pa.Table) -> None:
    rows = train.training_rows(table)
    assert pc.max(rows["month"]).as_py() == 9
    assert rows["arr_delay"].null_count == 0


def test_the_model_beats_the_most_frequent_answer_on_the_months_it_has_not_seen(table: pa.Table) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = train.train(train.training_rows(table))
    held_out = table.filter(pc.and_(pc.greater_equal(table["month"], 10), pc.is_valid(table["arr_delay"])))
    late = pc.greater(held_out["arr_delay"], train.LATE_MINUTES).to_numpy().astype("int64")
    right = np.mean(model.predict(held_out.select(train.FEATURES).to_pandas()) == late)
    guessing = max(late.mean(), 1 - late.mean())
    assert right > 0.89 > guessing + 0.1


def test_a_flight_that_never_left_gets_an_answer_too(table: pa.Table) -> None:
    model = train.train(train.training_rows(table).slice(0, 20_000))
    cancelled = table.filter(pc.is_null(table["dep_delay"])).slice(0, 10)
    assert set(model.predict(cancelled.select(train.FEATURES).to_pandas())) <= {0, 1}


def test_the_mark_changes_with_the_data() -> None:
    assert train.fingerprint("a") != train.fingerprint("b")
    assert train.fingerprint("a") == train.fingerprint("a")
