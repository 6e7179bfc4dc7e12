"""Jobs that stop at predictions that are not as expected, and reports that warn of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spark_infer.config.load import load_job
from spark_infer.errors import ConfigError, PlanError, UnexpectedPredictionsError
from tests.local.jobs import job, read

pytestmark = pytest.mark.usefixtures("in_this_process")


def files_of(folder: Path, *files: Any) -> str:
    folder.mkdir()
    for number, values in enumerate(files):
        ids = np.arange(len(values)) + 1_000 * number
        pq.write_table(pa.table({"id": ids, "x": values}), folder / f"{number}.parquet")
    return str(folder)


def test_the_unit_that_goes_too_far_is_not_published(moody: str, tmp_path: Path) -> None:
    source = files_of(tmp_path / "in", np.arange(200.0), np.full(200, np.nan))
    pq.write_table(pa.table({"id": [-1], "x": [0.0]}), tmp_path / "first.parquet")
    target = {"path": str(tmp_path / "out"), "mode": "append"}
    job(moody, str(tmp_path / "first.parquet"), target).run()
    bound: dict[str, Any] = {"units": {"bytes": 1}, "score": {"expect": {"prediction": {"max_null_fraction": 0.4}}}}
    with pytest.raises(UnexpectedPredictionsError, match="200 of the first 200 rows are null or NaN"):
        job(moody, source, target, **bound).run()
    assert [row["id"] for row in read(tmp_path / "out")] == [-1, *range(200)]
    bound["score"]["expect"]["prediction"]["max_null_fraction"] = 1.0
    assert job(moody, source, target, **bound).run().units_before == 1


def test_a_constant_over_all_units_is_an_error_only_where_asked_for(moody: str, tmp_path: Path) -> None:
    source = files_of(tmp_path / "in", np.ones(600), np.ones(600))
    wanted = {"score": {"expect": {"prediction": {"not_constant": True}}}}
    with pytest.raises(UnexpectedPredictionsError, match="have one value, and not_constant is true"):
        job(moody, source, {"path": str(tmp_path / "out")}, **wanted).run()
    report = job(moody, source, {"path": str(tmp_path / "out")}).run()
    assert any("every prediction in column 'prediction' has the same value" in each for each in report.warnings)
    varied = files_of(tmp_path / "varied", np.ones(600), np.zeros(600))
    assert not job(moody, varied, {"path": str(tmp_path / "out2")}, **wanted).run().warnings


def test_a_wrong_expectation_is_refused_before_anything_runs(moody: str, tmp_path: Path) -> None:
    source = files_of(tmp_path / "in", np.ones(2))
    with pytest.raises(PlanError, match="`expect` names 'predictions'"):
        job(moody, source, {"path": str(tmp_path / "out")}, score={"expect": {"predictions": {"min": 0}}}).plan()
    page = f"model: {moody}\nsource: {source}\ntarget: {tmp_path}/out\nscore:\n  expect:\n    prediction: {{mim: 0}}\n"
    (tmp_path / "job.yaml").write_text(page)
    with pytest.raises(ConfigError, match=r"unknown key 'mim' in score\.expect\.prediction \(did you mean 'min'"):
        load_job(tmp_path / "job.yaml")
    (tmp_path / "job.yaml").write_text(page.replace("mim", "min"))
    config = load_job(tmp_path / "job.yaml", ["score.expect.prediction.max=2"])
    assert (config.score.expect["prediction"].min, config.score.expect["prediction"].max) == (0, 2)
