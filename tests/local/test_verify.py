"""A model's own example, scored on the workers, is compared with what is known of it."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mlflow.models import infer_signature
from sklearn.linear_model import LinearRegression
from typer.testing import CliRunner

from spark_infer.cli.main import app
from spark_infer.engines.local import preview_tasks as local_preview
from spark_infer.errors import PlanError, SourceError
from spark_infer.job.verify import verify_model
from tests.here import tasks_here


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model with an input example of five rows, which doubles ``x`` and adds ``n``."""
    folder = tmp_path_factory.mktemp("known") / "model"
    rows = pd.DataFrame({"x": np.arange(20.0), "n": np.arange(20) % 7})
    model = LinearRegression().fit(rows, 2 * rows.x + rows.n)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.sklearn.save_model(
            model,
            folder,
            signature=infer_signature(rows, model.predict(rows)),
            input_example=rows[:5],
            pip_requirements=["scikit-learn==1.0.2", "numpy"],
        )
    return str(folder)


def test_the_example_is_scored_on_a_worker_and_compared_with_pyfunc(known: str) -> None:
    found = verify_model(known)
    assert (found.equal, found.rows, found.source) == (True, 5, "its input example")
    assert [(each.output, each.equal) for each in found.outputs] == [("prediction", True)]
    assert found.versions["scikit-learn"]["model"] == "1.0.2"
    assert found.versions["python"]["driver"] == found.versions["python"]["workers"]


@pytest.mark.parametrize("kind", ["parquet", "csv", "json"])
def test_a_golden_file_may_say_what_is_right(
    known: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(local_preview, "do_tasks", tasks_here)
    rows = pa.table({"x": [1.0, 2.0], "n": [3, 4], "prediction": [5.0, 8.5]})
    golden = tmp_path / f"golden.{kind}"
    if kind == "parquet":
        pq.write_table(rows, golden)
    elif kind == "csv":
        golden.write_text("x,n,prediction\n1,3,5\n2,4,8.5\n")
    else:
        golden.write_text(json.dumps(rows.to_pylist()))
    found = verify_model(known, golden=golden)
    (output,) = found.outputs
    assert (found.equal, output.row) == (False, 1)
    assert output.difference == pytest.approx(0.5 / 8.5)
    assert verify_model(known, golden=golden, tolerance=0.1).equal
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    done = CliRunner().invoke(app, ["verify", known, "--golden", str(golden)])
    assert done.exit_code == 2
    assert "2 rows scored, 1 of 1 output not as expected" in done.stdout
    assert "! prediction  differs by at most 0.0588, in row 1" in done.stdout


def test_a_model_without_an_example_needs_a_golden_file(line: str, tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="without an input example"):
        verify_model(line)
    (tmp_path / "golden.txt").write_text("x")
    with pytest.raises(SourceError, match=r"ends with \.txt"):
        verify_model(line, golden=tmp_path / "golden.txt")
