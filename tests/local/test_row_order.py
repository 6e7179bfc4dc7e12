"""Models that sort their rows, as Prophet does, are refused by plan and doctor, and found out in a batch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from spark_infer.cli.main import app
from spark_infer.errors import ModelRefusedError, RunError
from tests.forecast import DAYS, Forecast, save_forecast
from tests.local.jobs import job, read, run

pytestmark = pytest.mark.usefixtures("in_this_process")

ORDER = [3, 1, 5, 0, 2, 4]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A model with an input example, one without, and one that refuses made-up rows too."""
    folder = tmp_path_factory.mktemp("forecasts")
    return {
        "example": save_forecast(folder / "example", Forecast(), input_example=pd.DataFrame({"ds": DAYS})),
        "none": save_forecast(folder / "none", Forecast()),
        "picky": save_forecast(folder / "picky", Forecast(picky=True)),
    }


@pytest.fixture
def days(tmp_path: Path) -> str:
    (tmp_path / "days").mkdir()
    days = pa.array(DAYS[ORDER].to_pydatetime(), pa.timestamp("us"))
    pq.write_table(pa.table({"id": ORDER, "ds": days}), tmp_path / "days" / "a.parquet")
    return str(tmp_path / "days")


def target(tmp_path: Path) -> dict[str, Any]:
    return {"path": str(tmp_path / "out"), "keep": ["id"]}


@pytest.mark.parametrize("model", ["example", "none"])
def test_a_forecast_in_the_order_of_time_is_refused_before_any_task(
    models: dict[str, str], model: str, days: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelRefusedError, match="another order: the values of ds, yhat belong to other rows"):
        job(models[model], {"path": days}, target(tmp_path)).plan()
    assert not (tmp_path / "out").exists()


def test_what_plans_cannot_see_a_batch_shows(models: dict[str, str], days: str, tmp_path: Path) -> None:
    prepared = job(models["picky"], {"path": days}, target(tmp_path))
    assert "the model was tried with rows of zeros and empty texts and raised" in str(prepared.plan())
    with pytest.raises(RunError, match="the values of ds, yhat belong to other rows of a batch of 6 rows"):
        prepared.run()


def test_ways_out(models: dict[str, str], days: str, tmp_path: Path) -> None:
    # A model that is trusted has its rows by position, as in pyfunc; one row at a time, each has its own.
    expected = [({"row_order": "trust"}, [ORDER.index(row) for row in range(6)]), ({"batch_size": 1}, range(6))]
    for options, rows in expected:
        report = run(models["example"], {"path": days}, {**target(tmp_path), "mode": "overwrite"}, score=options)
        assert not report.already_done
        assert [row["yhat"] for row in read(tmp_path / "out")] == [row * 1.5 for row in rows]


def test_doctor_tries_the_example_or_rows_of_a_table(models: dict[str, str], line: str, days: str) -> None:
    def finding(*arguments: str) -> dict[str, str]:
        result = CliRunner().invoke(app, ["doctor", "--json", "--row-order", *arguments])
        *machine, found = json.loads(result.stdout)["findings"]
        of_machine = any(each["status"] == "problem" for each in machine)
        # A model that does not fit has the code that `plan` has for it.
        assert result.exit_code == (2 if found["status"] == "problem" else 3 if of_machine else 0)
        return dict(found)

    refused = finding(models["example"])
    assert (refused["name"], refused["status"]) == ("row order", "problem")
    assert "not kept: values of ds, yhat stand at other rows" in refused["found"]
    assert "batch_size: 1" in refused["fix"]
    unseen = finding(models["picky"])
    assert (unseen["status"], "not known: the model raised" in unseen["found"]) == ("note", True)
    assert finding(models["picky"], "--source", days)["status"] == "problem"
    assert "There is no folder" in finding(f"{days}/nobody")["found"]
    alone = CliRunner().invoke(app, ["doctor", "--source", days])
    assert (alone.exit_code, "--row-order" in alone.output) == (2, True)
    kept = finding(line)
    assert (kept["status"], "kept, as 7 rows in two orders showed" in kept["found"]) == ("ok", True)
