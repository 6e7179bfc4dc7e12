"""The Databricks bundle names things that exist, and fits the models that Databricks makes from the bundle's schema."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from databricks.bundles.jobs import CronSchedule, Job

from spark_infer.config.load import load_job
from spark_infer.job.__main__ import main

ROOT = Path(__file__).parents[2]
BUNDLE: dict[str, Any] = yaml.safe_load((ROOT / "databricks.yml").read_text())
(JOB,) = BUNDLE["resources"]["jobs"].values()
MAPPINGS = {
    *("artifacts", "bundle", "environments", "experimental", "include", "permissions", "presets", "resources"),
    *("run_as", "sync", "targets", "variables", "workspace"),
}


def test_the_job_fits_the_schema_of_bundles() -> None:
    assert set(BUNDLE) <= MAPPINGS
    job = Job.from_dict(JOB)
    assert isinstance(job.schedule, CronSchedule)
    assert job.as_dict() == JOB


def test_production_installs_the_wheel_from_a_volume() -> None:
    workspace = BUNDLE["targets"]["prod"]["workspace"]
    assert set(workspace) == {"artifact_path", "root_path"}
    assert workspace["artifact_path"] == "${var.wheels}"
    assert re.fullmatch(r"/Volumes/\w+/\w+/\w+", BUNDLE["variables"]["wheels"]["default"])
    (artifact,) = BUNDLE["artifacts"].values()
    (task,) = JOB["tasks"]
    # What `build` leaves in this folder is uploaded to artifact_path, and the library's path becomes that of the copy.
    assert "--wheel-dir dist" in artifact["build"]
    assert task["libraries"] == [{"whl": "dist/*.whl"}]


def test_nothing_is_retried_that_may_have_appended_already() -> None:
    assert [task["max_retries"] for task in JOB["tasks"]] == [0]
    assert not any("retry_on_timeout" in task for task in JOB["tasks"])


@pytest.mark.parametrize("path", [("tasks", 0, "spark_python_tusk"), ("schedule", "quartz"), ("max_runs",)])
def test_an_unknown_key_does_not_fit_it(path: tuple[str | int, ...]) -> None:
    job: Any = copy.deepcopy(JOB)
    inner = job
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = {}
    with pytest.raises(ValueError, match=f"Unexpected field '{path[-1]}'"):
        Job.from_dict(job)


def test_every_variable_is_declared_and_every_file_exists() -> None:
    text = (ROOT / "databricks.yml").read_text()
    assert set(re.findall(r"\$\{var\.(\w+)\}", text)) == set(BUNDLE["variables"])
    (task,) = JOB["tasks"]
    assert (ROOT / task["spark_python_task"]["python_file"]).is_file()
    default = BUNDLE["variables"]["job_file"]["default"].removeprefix("${workspace.file_path}/")
    assert load_job(str(ROOT / default)).name == JOB["name"]
    assert task["job_cluster_key"] == JOB["job_clusters"][0]["job_cluster_key"]


def test_the_parameters_of_the_page_fit_the_schema_and_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (ROOT / "docs/schedule.md").read_text()
    (text,) = [each for each in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if "# in databricks.yml" in each]
    more: dict[str, Any] = yaml.safe_load(text)
    job: Any = {"name": "nightly", **more}
    assert Job.from_dict(job).as_dict() == job
    (task,), (own,) = more["tasks"], JOB["tasks"]
    assert task["spark_python_task"]["python_file"] == own["spark_python_task"]["python_file"]
    _, *arguments = task["spark_python_task"]["parameters"]
    text = "params: {day: {type: date}}\nengine: local\nmodel: ./nowhere\nsource: in\n"
    text += "target: {path: 'out-${params.day}'}\n"
    (tmp_path / "job.yaml").write_text(text)
    given = [each.replace("{{job.parameters.day}}", "2026-11-28") for each in arguments]
    assert main([str(tmp_path / "job.yaml"), *given]) == 2
    assert "nowhere" in capsys.readouterr().err  # the model is what is missing, and not the parameter
