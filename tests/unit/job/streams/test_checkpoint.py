"""A checkpoint is of one stream: another job, and a query of somebody else, are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from spark_infer.config import JobConfig
from spark_infer.errors import PlanError
from spark_infer.job.streams.checkpoint import NOTE, Checkpoint, find_checkpoint
from spark_infer.tables.local_tables import LocalTables
from spark_infer.tables.location import TableLocation


def found(here: Path, checkpoint: str = "checkpoint", target: str = "out", **job: Any) -> Checkpoint:
    document = {
        "model": "models:/m/1",
        "source": {"path": str(here / "in"), "where": job.pop("where", None)},
        "target": {"path": str(here / target), "mode": "append"},
        "trigger": "available_now",
        "checkpoint": str(here / checkpoint),
        **job,
    }
    source, written = (TableLocation("delta", f"file://{here / name}") for name in ("in", target))
    return find_checkpoint(LocalTables(), JobConfig.model_validate(document), source=source, target=written)


def test_a_checkpoint_is_taken_once_and_looking_at_it_changes_nothing(tmp_path: Path) -> None:
    checkpoint = found(tmp_path)
    assert not (tmp_path / "checkpoint").exists()
    checkpoint.take()
    again = found(tmp_path)
    again.take()
    assert (again.uri, again.is_begun) == (f"file://{tmp_path}/checkpoint", False)
    (tmp_path / "checkpoint" / "offsets").mkdir()
    assert found(tmp_path).is_begun


@pytest.mark.parametrize(
    ("other", "fact"),
    [
        ({"name": "nightly"}, "job was 'score', and is 'nightly'"),
        ({"target": "other"}, "target was"),
        ({"where": "x > 2"}, "where was '', and is 'x > 2'"),
        ({"quarantine": "bad", "score": {"on_error": "quarantine"}}, "quarantine was '', and is 'bad'"),
    ],
)
def test_the_checkpoint_of_another_stream_is_refused_with_the_difference(
    tmp_path: Path, other: dict[str, Any], fact: str
) -> None:
    found(tmp_path).take()
    with pytest.raises(PlanError, match="is of another stream") as refused:
        found(tmp_path, **other)
    assert fact in str(refused.value)


def test_two_jobs_that_take_one_checkpoint_at_the_same_time_do_not_share_it(tmp_path: Path) -> None:
    one, other = found(tmp_path), found(tmp_path, name="nightly")
    one.take()
    with pytest.raises(PlanError, match="is of another stream"):
        other.take()
    assert json.loads((tmp_path / "checkpoint" / NOTE).read_bytes())["job"] == "score"


def test_a_query_of_somebody_else_keeps_its_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "checkpoint" / "offsets").mkdir(parents=True)
    with pytest.raises(PlanError, match="belongs to a query that is not of spark_infer"):
        found(tmp_path)


def test_a_checkpoint_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "checkpoint").touch()
    with pytest.raises(PlanError, match="is a file"):
        found(tmp_path)


@pytest.mark.parametrize("place", ["out", "out/checkpoint", "in/checkpoint", "."])
def test_a_checkpoint_among_the_files_of_a_table_is_refused(tmp_path: Path, place: str) -> None:
    with pytest.raises(PlanError, match="shares its folder with the table"):
        found(tmp_path, place)


def test_a_checkpoint_may_lie_in_a_folder_of_the_target_that_delta_passes_over(tmp_path: Path) -> None:
    assert found(tmp_path, "out/_checkpoints/score").uri.endswith("out/_checkpoints/score")
