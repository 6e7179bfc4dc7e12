from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from typer.testing import Result

from spark_infer.config import JobConfig
from spark_infer.job import preview as job_preview
from spark_infer.job.preview import Preview

from .conftest import Stage

Command = Callable[..., Result]


@pytest.fixture
def asked(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []

    def preview_job(engine: object, config: JobConfig, **given: Any) -> Preview:
        found.append(given)
        return Preview(
            job=config.name,
            model_uri=config.model.uri,
            model_name="m",
            model_version="7",
            source=config.source.name,
            source_version=None,
            source_rows=None,
            partition_filter=(),
            where=config.source.where,
            plane="direct: by hand",
            rows=pa.table({"id": [1], "name": ["a\x1b[2J"], "prediction": [float("nan")], "day": [b"x"]}),
            rows_scored=1,
            sample=given["sample"],
            seed=given["seed"],
            seconds=1.0,
            task_seconds={},
        )

    monkeypatch.setattr(job_preview, "preview_job", preview_job)
    return found


def test_preview_prints_rows_that_a_terminal_does_not_obey(
    command: Command, asked: list[dict[str, Any]], job_file: Path
) -> None:
    result = command("preview", job_file, "--set", "source.where=id > 0")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "nightly: 1 row scored, nothing is written",
        "",
        "  model   m version 7 (models:/m@best)",
        "  source  in",
        "          only rows where id > 0",
        "  plane   direct: by hand",
        "",
        "  id  name      prediction  day",
        "   1  a\\x1b[2J         nan  b'x'",
    ]
    assert asked == [{"rows": 20, "sample": None, "seed": 0}]


def test_a_sample_and_its_seed_are_passed_on(command: Command, asked: list[dict[str, Any]], job_file: Path) -> None:
    result = command("preview", job_file, "--rows", "3", "--sample", "0.01", "--seed", "7", "--json")
    assert asked == [{"rows": 3, "sample": 0.01, "seed": 7}]
    facts = json.loads(result.stdout)
    assert facts["rows"] == [{"id": 1, "name": "a\x1b[2J", "prediction": "nan", "day": "b'x'"}]
    assert (facts["rows_scored"], facts["model_version"]) == (1, "7")


def test_a_preview_is_given_parameters_as_a_run_is(
    command: Command, asked: list[dict[str, Any]], job_file: Path
) -> None:
    job_file.write_text(job_file.read_text() + "params: {least: {type: int}}\n")
    result = command("preview", job_file, "--set", "source.where=id > ${params.least}", "--param", "least=3")
    assert "only rows where id > 3" in result.stdout
    assert command("preview", job_file, "--set", "source.where=id > ${params.least}").exit_code == 2
