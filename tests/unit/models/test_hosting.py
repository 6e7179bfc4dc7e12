"""Where workers obtain their model: by what was asked for, what a GPU's tasks share, and what fits."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from spark_infer.config import ScoreOptions
from spark_infer.errors import ConfigError, PlanError, ResourcesError
from spark_infer.models.hosting import ExecutorShape, Hosting, choose_hosting

GB = 10**9
SHAPE = ExecutorShape(tasks=4, cpus=2, python_bytes=8 * GB, whole_bytes=12 * GB)
SUM = "4 x {} GB = {} GB of the 8.00 GB that an executor has for Python"


def chosen(
    hosting: str, size: int | None, shape: ExecutorShape = SHAPE, *, uses_gpu: bool = False, **options: object
) -> tuple[Hosting | None, str]:
    asked = ScoreOptions.model_validate({"hosting": hosting, **options})
    choice = choose_hosting(asked, shape, size, uses_gpu=uses_gpu)
    return choice.hosting, choice.why


def test_copies_that_fit_stay_in_the_workers() -> None:
    assert chosen("auto", 2 * GB) == (None, SUM.format("2.00", "8.00"))


def test_copies_that_do_not_fit_become_one() -> None:
    hosting, why = chosen("auto", 3 * GB)
    assert hosting == Hosting(threads=8, required=False)
    assert why == "the copies would not fit: " + SUM.format("3.00", "12.00")


def test_tasks_that_share_a_gpu_share_the_model_where_it_is_on_the_gpu() -> None:
    shape = replace(SHAPE, shares_gpu=True, python_bytes=None)
    assert chosen("auto", None, shape, uses_gpu=True) == (Hosting(threads=8, required=False), "tasks share a GPU")
    assert chosen("auto", None, shape, uses_gpu=False) == (None, "")


@pytest.mark.parametrize(
    ("size", "shape"),
    [
        (None, SHAPE),
        (100 * GB, replace(SHAPE, python_bytes=None)),
        (100 * GB, replace(SHAPE, tasks=1)),
        (100 * GB, replace(SHAPE, tasks=None)),
    ],
)
def test_auto_changes_nothing_where_one_number_is_missing_or_there_is_one_worker(
    size: int | None, shape: ExecutorShape
) -> None:
    assert chosen("auto", size, shape)[0] is None


def test_what_was_asked_for_is_done() -> None:
    assert chosen("executor", 1 * GB)[0] == Hosting(threads=8, required=True)
    assert chosen("executor", None, replace(SHAPE, tasks=None))[0] == Hosting(threads=2, required=True)
    assert chosen("worker", 3 * GB)[0] is None
    assert chosen("worker", None, replace(SHAPE, shares_gpu=True), uses_gpu=True)[0] is None


def test_what_is_known_not_to_fit_is_refused_where_it_was_asked_for() -> None:
    with pytest.raises(ResourcesError, match="4 copies of the model do not fit") as worker:
        chosen("worker", 4 * GB)
    assert worker.value.details == ("4 x 4.00 GB, as measured here, and 12.00 GB in all",)
    assert "hosting: executor" in worker.value.next_step
    with pytest.raises(ResourcesError, match="1 copy of the model do"):
        chosen("executor", 13 * GB)
    assert chosen("auto", 13 * GB)[0] is not None
    assert chosen("worker", 4 * GB, replace(SHAPE, whole_bytes=None))[0] is None


def test_a_process_of_its_own_for_each_worker_and_one_for_all_of_them_do_not_go_together() -> None:
    from spark_infer.config.validate_options import validated

    with pytest.raises(ConfigError, match="leave one out"):
        validated(ScoreOptions, {"hosting": "executor", "isolation": "process"})
    assert chosen("auto", 3 * GB, isolation="process")[0] is None


def test_a_folder_of_hosts_that_others_may_enter_is_refused_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    here = replace(SHAPE, is_here=True)
    assert chosen("executor", GB, here)[0] == Hosting(threads=8, required=True)
    (folder,) = tmp_path.iterdir()
    folder.chmod(0o755)
    for hosting in ("executor", "auto"):
        with pytest.raises(PlanError, match="not this user's alone"):
            chosen(hosting, 3 * GB, here)
    assert chosen("executor", GB)[0] == Hosting(threads=8, required=True)  # on another machine
    assert chosen("worker", GB, here)[0] is None
