"""The examples of docs/schedule.md are what their systems take, as far as that shows without them."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import yaml

from spark_infer.cli.options import EXIT_CODES
from spark_infer.config.load import load_job

PAGE = (Path(__file__).parents[2] / "docs/schedule.md").read_text()

COUNT, TEXT, TEXTS = int, str, [str]
QUANTITIES = {"cpu?": str, "memory?": str}
POD = {
    "restartPolicy": re.compile("Never|OnFailure"),
    "terminationGracePeriodSeconds?": COUNT,
    "containers": [
        {
            "name": re.compile("[a-z0-9-]{1,63}"),
            "image": TEXT,
            "command?": TEXTS,
            "resources?": {"requests?": QUANTITIES, "limits?": QUANTITIES},
        }
    ],
}
RULE = {
    "action": re.compile("FailJob|Ignore|Count|FailIndex"),
    "onExitCodes?": {"operator": re.compile("In|NotIn"), "values": [COUNT]},
    "onPodConditions?": [{"type": TEXT, "status": re.compile("True|False|Unknown")}],
}
CRON_JOB = {
    "apiVersion": re.compile("batch/v1"),
    "kind": re.compile("CronJob"),
    "metadata": {"name": re.compile("[a-z0-9-]{1,52}")},
    "spec": {
        "schedule": re.compile(r"([\d*,/-]+ ){4}[\d*,/-]+"),
        "timeZone?": TEXT,
        "concurrencyPolicy?": re.compile("Allow|Forbid|Replace"),
        "startingDeadlineSeconds?": COUNT,
        "failedJobsHistoryLimit?": COUNT,
        "jobTemplate": {
            "spec": {
                "backoffLimit?": COUNT,
                "activeDeadlineSeconds?": COUNT,
                "podFailurePolicy?": {"rules": [RULE]},
                "template": {"spec": POD},
            }
        },
    },
}
"""The fields of https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/cron-job-v1/ that are used;
those with a question mark may be left out."""


def misfits(value: Any, wanted: Any, path: str = "") -> list[str]:
    """What of a document is not as its schema says."""
    if isinstance(wanted, dict):
        if not isinstance(value, dict):
            return [f"{path}: not a mapping"]
        names = {name.rstrip("?"): each for name, each in wanted.items()}
        missing = [f"{path}.{name}: missing" for name in wanted if not name.endswith("?") and name not in value]
        unknown = [f"{path}.{name}: unknown" for name in value if name not in names]
        below = [misfits(each, names[name], f"{path}.{name}") for name, each in value.items() if name in names]
        return [*missing, *unknown, *(each for found in below for each in found)]
    if isinstance(wanted, list):
        if not isinstance(value, list) or not value:
            return [f"{path}: not a list"]
        return [each for found in value for each in misfits(found, wanted[0], f"{path}[]")]
    if isinstance(wanted, re.Pattern):
        return [] if isinstance(value, str) and wanted.fullmatch(value) else [f"{path}: {value!r}"]
    return [] if type(value) is wanted else [f"{path}: {value!r}"]


def block(language: str, mark: str) -> str:
    found: list[str] = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    (one,) = (text for text in found if mark in text)
    return one


def test_the_cron_job_has_the_fields_of_kubernetes_and_no_others() -> None:
    document = yaml.safe_load(block("yaml", "CronJob"))
    assert misfits(document, CRON_JOB) == []
    # With the policy for failed pods, Kubernetes takes no other.
    assert document["spec"]["jobTemplate"]["spec"]["template"]["spec"]["restartPolicy"] == "Never"
    document["spec"]["concurrencyPolicy"] = "Never"
    document["spec"]["jobTemplate"]["spec"]["backofLimit"] = 1
    assert misfits(document, CRON_JOB) == [
        ".spec.concurrencyPolicy: 'Never'",
        ".spec.jobTemplate.spec.backofLimit: unknown",
    ]


def test_the_job_file_is_one(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text(block("yaml", "name: nightly\nparams"))
    job = load_job(tmp_path / "job.yaml", params={"day": "2026-11-28"})
    assert (job.max_runtime, job.source.partition_filter) == (4 * 3600, {"day": ("2026-11-28",)})


def test_the_dag_is_python_and_its_command_that_of_the_other_examples() -> None:
    calls = [node for node in ast.walk(ast.parse(block("python", "airflow"))) if isinstance(node, ast.Call)]
    texts = [key.value.value for call in calls for key in call.keywords if isinstance(key.value, ast.Constant)]
    assert "exec spark-infer run /etc/nightly/job.yaml --param day={{ macros.ds_add(ds, -1) }}" in texts


def test_the_table_has_every_exit_code() -> None:
    there = {int(code) for row in re.findall(r"^\| ([\d, ]+) \|", PAGE, re.MULTILINE) for code in row.split(",")}
    assert there == {int(code) for code in re.findall(r"(?:^  |by Ctrl-C, )(\d+)", EXIT_CODES, re.MULTILINE)}
