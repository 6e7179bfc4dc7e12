"""A model's own example, scored on the workers, is compared with what is known of it."""

from __future__ import annotations

import json
import math
import warnings
from pathlib import Path
from typing import Any

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
from spark_infer.errors import ConfigError, PlanError, PredictError, SourceError
from spark_infer.job.verification import Compared, HostCompared
from spark_infer.job.verify import _by_host, verify_model
from spark_infer.models.installed import versions_here
from spark_infer.models.worker_answer import WorkerAnswer
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


def golden_file(folder: Path, kind: str, content: Any) -> Path:
    golden = folder / f"golden.{kind}"
    if kind == "parquet":
        pq.write_table(pa.table(content), golden)
    else:
        golden.write_text(content)
    return golden


GOOD = {"x": [1.0], "n": [3]}


@pytest.mark.parametrize(
    ("kind", "content", "said"),
    [
        ("parquet", {**GOOD, "prediction": ["a"]}, "Column 'prediction' .* is string, and not all .* double"),
        ("parquet", {**GOOD, "prediction": [[5.0]]}, "Column 'prediction' .* the model's output"),
        ("csv", "x,n,prediction\n1,3,abc\n", "Column 'prediction' .* is string, and not all .* double"),
        ("csv", "x,n\nabc,3\n", "Column 'x' .* the model's input"),
        ("csv", "x,n,n\n1,3,3\n", "more than one column 'n'"),
        ("csv", "x,n,Prediction\n1,3,9\n", r"'Prediction' .* neither .* \(did you mean 'prediction'\?\)"),
        ("json", '[{"x": 1, "n": 3}, {"x": 1, "n": 3, "predicted": 1}]', "Column 'predicted' .* neither"),
        ("json", "5", "it holds a"),
        ("json", "null", "it holds"),
        ("json", '"a"', "it holds text"),
        ("json", '{"x": 5}', "column 'x' is a"),
        ("json", "[1, 2]", "row 0 is a"),
        ("json", "[[1]]", "row 0 is a list"),
        ("json", "[null]", "row 0 is"),
        ("json", '[{"x": 1}, 5]', "row 1 is a"),
        ("json", '[{"x": 1}, {"x": []}]', "cannot be read as json"),
        ("json", '[{"x": 1000000000000000000000000}]', "cannot be read as json"),
        ("json", "[" * 100_000, "cannot be read as json: RecursionError"),
        ("json", "[]", "has 0 rows"),
    ],
)
def test_a_golden_file_that_is_none_is_refused(known: str, tmp_path: Path, kind: str, content: Any, said: str) -> None:
    with pytest.raises(SourceError, match=said) as caught:
        verify_model(known, golden=golden_file(tmp_path, kind, content))
    assert "golden." in caught.value.what
    assert caught.value.next_step


@pytest.mark.parametrize("tolerance", [math.inf, math.nan, -1.0, "1", True])
def test_a_tolerance_is_a_finite_number_from_zero(known: str, tolerance: Any) -> None:
    with pytest.raises(ConfigError, match="The tolerance is a finite number"):
        verify_model(known, tolerance=tolerance)


def test_a_model_that_raises_for_a_row_is_named(moody: str, tmp_path: Path) -> None:
    golden = golden_file(tmp_path, "parquet", {"x": [1.0, 500.0]})
    with pytest.raises(PredictError, match=r"raised in mlflow.pyfunc's predict .* 2 rows") as caught:
        verify_model(moody, golden=golden)
    assert "--golden" in caught.value.next_step


def test_outputs_that_a_golden_file_lacks_are_said_not_to_be_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_preview, "do_tasks", tasks_here)
    rows = pd.DataFrame({"x": np.arange(20.0)})
    answers = pd.DataFrame({"once": rows.x, "twice": 2 * rows.x})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.sklearn.save_model(
            LinearRegression().fit(rows, answers),
            tmp_path / "model",
            signature=infer_signature(rows, answers),
            pip_requirements=["scikit-learn"],
        )
    found = verify_model(
        str(tmp_path / "model"), golden=golden_file(tmp_path, "csv", "x,twice\n1,2\n2,4\n"), tolerance=1e-3
    )
    assert ([each.output for each in found.outputs], found.not_compared) == (["twice"], ("once",))
    assert "2 rows scored, as expected, 1 output not compared" in str(found)
    assert "  not compared: once" in str(found)


def test_a_model_without_an_example_needs_a_golden_file(line: str, tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="without an input example"):
        verify_model(line)
    (tmp_path / "golden.txt").write_text("x")
    with pytest.raises(SourceError, match=r"ends with \.txt"):
        verify_model(line, golden=tmp_path / "golden.txt")


def test_a_model_without_a_signature_is_refused_with_what_to_do(tmp_path: Path) -> None:
    rows = pd.DataFrame({"x": np.arange(5.0)})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = LinearRegression().fit(rows, rows.x)
        mlflow.sklearn.save_model(
            model, tmp_path / "m", signature=False, input_example=rows, pip_requirements=["scikit-learn"]
        )
    with pytest.raises(PlanError, match="has no signature") as refused:
        verify_model(str(tmp_path / "m"))
    assert "set_signature" in refused.value.next_step


def test_hosts_that_answer_otherwise_or_have_other_versions_are_named() -> None:
    versions = versions_here(["numpy"])
    batch = pa.RecordBatch.from_pydict({"prediction": [1.0]})
    answers = [
        WorkerAnswer(answers=batch, host="b", versions={**versions, "numpy": "1.0"}),
        WorkerAnswer(answers=batch, host="a", versions=versions),
        WorkerAnswer(answers=batch, host="b", versions=versions),
    ]
    sizes = (0.0, 0.0, 0.5)
    compared = [[Compared(output="prediction", difference=size, row=0, equal=size == 0)] for size in sizes]
    assert _by_host(answers, compared) == {
        "a": HostCompared(tasks=1),
        "b": HostCompared(tasks=2, difference=0.5, equal=False, other_versions=("numpy 1.0",)),
    }
