"""The demo keeps to its own folder, says what is missing, and its job file is the one in conf/."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from spark_infer.config.load import load_job
from spark_infer.demo import story, train
from spark_infer.errors import EnvironmentProblem, TargetError

ROOT = Path(__file__).parents[3]


def test_the_demos_job_file_is_the_one_in_conf() -> None:
    assert story.JOB_FILE.read_bytes() == (ROOT / "conf" / "demo.yaml").read_bytes()


def test_the_job_scores_the_champion_on_the_months_it_has_not_seen() -> None:
    job = load_job(story.JOB_FILE)
    assert job.model.uri == f"models:/{train.MODEL}@{train.ALIAS}"
    months = (10, 11, 12)
    assert min(months) == train.FIRST_HELD_OUT_MONTH
    assert job.source.partition_filter == {"month": months}
    assert job.target.partitions == {"month": months}
    paths = [Path(str(path)) for path in (job.source.path, job.target.path)]
    assert all(path.parent == story.FOLDER for path in paths)


def test_a_folder_of_that_name_that_is_not_the_demos_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "mine.txt").touch()
    with pytest.raises(TargetError, match="the demo did not make it"):
        story._claim(tmp_path / "demo")
    assert [path.name for path in (tmp_path / "demo").iterdir()] == ["mine.txt"]


def test_an_empty_folder_or_an_earlier_demo_is_taken(tmp_path: Path) -> None:
    story._claim(tmp_path / "new")
    story._claim(tmp_path / "new")
    (tmp_path / "new" / "demo.log").touch()
    story._claim(tmp_path / "new")


def test_missing_packages_are_named_together_with_the_one_command_that_installs_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(story, "_NEEDED", ("json", "no_such_package", "nor_this_one"))
    with pytest.raises(EnvironmentProblem, match="no_such_package, nor_this_one") as caught:
        story._require_extras()
    assert caught.value.next_step == "pip install 'spark-infer[demo]'"


def test_what_tools_and_their_children_print_goes_to_the_log_and_the_story_to_the_screen(tmp_path: Path) -> None:
    script = """
import logging, subprocess, sys, warnings
from pathlib import Path
from rich.console import Console
from spark_infer.demo.story import _tools_write_to

console = Console(file=sys.stdout)
with _tools_write_to(Path("tools.log")):
    print("printed")
    warnings.warn("warned")
    logging.getLogger("tool").warning("logged")
    subprocess.run(["sh", "-c", "echo child >&2"], check=True)
    console.print("story")
print("after", file=sys.stderr)
"""
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environ, capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("story\n", "after\n")
    log = (tmp_path / "tools.log").read_text()
    assert [word in log for word in ("printed", "warned", "logged", "child", "story")] == [True] * 4 + [False]
