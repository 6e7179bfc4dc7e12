"""Plain Python functions and classes as models of a job of engine `local`, from a script and by name."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spark_infer import CallableModel, ScoringJob, score_table
from spark_infer.errors import ModelNotFoundError, ModelRefusedError, UnfinishedRunError
from spark_infer.runtime.failpoints import InjectedError
from tests.local.eight import exact
from tests.local.jobs import read

ROOT = Path(__file__).parents[2]
FLIGHTS = {"flight_id": [1, 2, 3], "dep_delay": [6.0, 40.0, 4.5], "distance": [200, 900, 500]}


def defined(text: str, name: str = "predict") -> Any:
    """What a script or a notebook defines."""
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(text, "script.py", "exec", dont_inherit=True), names)
    return names[name]


def doubled(change: str = "") -> Any:
    return defined(f"def predict(batch):\n    {change or 'pass'}\n    return batch['x'] * 2\n")


@pytest.fixture
def flights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder to work in, with the table of flights and the module of the page about Python models."""
    page = (ROOT / "docs/python-models.md").read_text()
    (code,) = (each for each in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "class ArrivalDelay" in each)
    (tmp_path / "delays").mkdir()
    (tmp_path / "delays/__init__.py").touch()
    (tmp_path / "delays/model.py").write_text(code)
    (tmp_path / "data").mkdir()
    pq.write_table(pa.table(FLIGHTS), tmp_path / "data/flights")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in ("delays", "delays.model"):
        sys.modules.pop(name, None)


def test_a_script_scores_with_a_function_of_its_own(source: Path, tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from spark_infer import score_table\n"
        "KNOWN = {'a', 'b', 'c', 'd', 'e'}\n"
        "def half(value):\n"
        "    return value / 2\n"
        "class Doubled:\n"
        "    def setup(self):\n"
        "        self.factor = 4.0\n"
        "    def predict(self, batch):\n"
        "        return half(batch['x'] * self.factor) if 'c' in KNOWN else None\n"
        "if __name__ == '__main__':\n"
        "    source, target = sys.argv[1:]\n"
        "    print(score_table(source=source, target=target, model=Doubled, inputs='x', result_type='double',\n"
        "                      engine='local'))\n"
    )
    (tmp_path / "script.py").write_text(program)
    command = [sys.executable, "script.py", str(source), str(tmp_path / "out")]
    done = subprocess.run(command, cwd=tmp_path, env=dict(os.environ), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "served by callable" in done.stdout
    rows = read(tmp_path / "out")
    assert [row["prediction"] for row in rows] == [row["x"] * 2 for row in rows]
    assert {row["model_name"] for row in rows} == {"Doubled"}


def test_the_job_of_the_page_runs(flights: Path, in_this_process: None) -> None:
    job = ScoringJob.from_yaml(ROOT / "conf/python-model.yaml")
    plan = str(job.plan())
    assert "delays.model:ArrivalDelay version " in plan
    assert "each batch is a dict of numpy arrays" in plan
    job.run()
    scored = pq.read_table("data/arrivals").select(["flight_id", "arr_delay", "late"]).to_pylist()
    assert scored == [
        {"flight_id": 1, "arr_delay": 6.0, "late": False},
        {"flight_id": 2, "arr_delay": 31.0, "late": True},
        {"flight_id": 3, "arr_delay": -4.5, "late": False},
    ]


def test_the_annotated_function_of_the_page_runs(flights: Path, in_this_process: None) -> None:
    page = (ROOT / "docs/python-models.md").read_text()
    (code,) = (each for each in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "class Flight" in each)
    report = defined(code, "report")
    assert (report.model_name, report.rows_scored) == ("speedy", 3)
    assert pq.read_table("data/speedy").column("prediction").to_pylist() == [1.0, 35.0, -0.5]


def test_a_module_that_is_not_here_is_refused_in_the_plan(flights: Path) -> None:
    for target, complaint in (
        ("delays.modell:ArrivalDelay", "there is no module 'delays.modell'"),
        ("delays.model:Arrival", "has no 'Arrival'.*did you mean 'ArrivalDelay'"),
        ("nowhere:f", "there is no module 'nowhere'"),
    ):
        job = ScoringJob.from_yaml(ROOT / "conf/python-model.yaml", [f"model.python={target}"])
        with pytest.raises(ModelNotFoundError, match=complaint):
            job.plan()


def test_the_policy_is_asked_before_a_module_is_imported(flights: Path) -> None:
    (flights / "delays/model.py").write_text("raise SystemExit('imported')\n")
    for setting in ("score.trust=registry", "score.trust=digests"):
        settings = [setting, *(["score.digests=" + "0" * 64] if "digests" in setting else [])]
        with pytest.raises(ModelRefusedError, match=r"registry|not among"):
            ScoringJob.from_yaml(ROOT / "conf/python-model.yaml", settings).plan()


def test_a_run_goes_on_with_the_same_code_and_not_with_another(
    files: Path, tmp_path: Path, in_this_process: None, breaks: Callable[[str], None]
) -> None:
    def run(model: Any) -> Any:
        target = {"path": str(tmp_path / "out"), "format": "parquet"}
        return score_table(
            source=str(files),
            target=target,
            model=model,
            inputs="x",
            result_type="double",
            engine="local",
            units={"bytes": 1},
        )

    breaks("seal:3:raise")
    with pytest.raises(InjectedError):
        run(doubled())
    breaks("")
    with pytest.raises(UnfinishedRunError, match="model digest"):
        run(doubled("batch['x'] += 0"))
    report = run(doubled())
    assert report.units_before > 0
    exact(tmp_path / "out")


def test_rows_that_a_function_fails_for_are_set_apart_from_the_others(
    files: Path, tmp_path: Path, in_this_process: None
) -> None:
    model = defined("def predict(batch):\n    assert not (batch['x'] == 3.0).any()\n    return batch['x'] * 2\n")
    report = score_table(
        source=str(files),
        target={"path": str(tmp_path / "out"), "format": "parquet"},
        model=CallableModel(model, name="doubled"),
        inputs=["x"],
        result_type="double",
        engine="local",
        on_error="null",
    )
    assert (report.model_name, report.bad_rows) == ("doubled", 1)
    assert [row["id"] for row in read(tmp_path / "out") if row["prediction"] is None] == [12]


def test_a_class_has_a_process_of_its_own_where_that_is_asked_for(
    files: Path, tmp_path: Path, in_this_process: None
) -> None:
    model = defined(
        "import os\n"
        "class predict:\n"
        "    def setup(self):\n"
        "        self.process = os.getpid()\n"
        "    def __call__(self, batch):\n"
        "        return [self.process] * len(batch['x'])\n"
    )
    target = {"path": str(tmp_path / "out"), "format": "parquet"}
    score_table(
        source=str(files),
        target=target,
        model=model,
        inputs="x",
        result_type="long",
        engine="local",
        isolation="process",
    )
    (process,) = {row["prediction"] for row in read(tmp_path / "out")}
    assert process != os.getpid()
