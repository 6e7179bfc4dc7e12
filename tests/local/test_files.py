"""A folder of images is scored: each file once, whatever is damaged, stopped, added or changed."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pyarrow.dataset as ds
import pytest
from mlflow.models import infer_signature
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from spark_infer import JobConfig, Report, ScoringJob, score_table
from spark_infer.errors import PlanError, SourceError, TargetError, UndecodableError, UnfinishedRunError
from spark_infer.runtime.failpoints import InjectedError

pytestmark = pytest.mark.usefixtures("in_this_process")

Break = Callable[[str], None]

DIGITS = (load_digits().images * 255 / 16).astype(np.uint8)[:60]
NUMBERS = DIGITS.reshape(-1, 64).astype(np.float32) / 255
DECODE = {"image": {"size": 8, "mode": "L", "layout": "flat"}}


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that takes one tensor without a name, 64 numbers a row."""
    model = LogisticRegression(max_iter=300).fit(NUMBERS, load_digits().target[:60])
    folder = tmp_path_factory.mktemp("network") / "model"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        signature = infer_signature(NUMBERS[:3], model.predict(NUMBERS[:3]).astype(np.int64))
        mlflow.sklearn.save_model(model, folder, signature=signature, pip_requirements=["scikit-learn"])
    return folder


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Twenty digits as PNG files in two folders, and a file that is none."""
    write(tmp_path / "images", range(20))
    (tmp_path / "images" / "1" / "damaged.png").write_bytes(b"no image")
    (tmp_path / "images" / "notes.txt").write_text("no image either")
    return tmp_path / "images"


def write(folder: Path, numbers: range) -> None:
    for number in numbers:
        path = folder / str(number % 2) / f"{number:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(DIGITS[number]).save(path)


def score(network: Path, images: Path, into: Path, **more: Any) -> Report:
    given: dict[str, Any] = {
        "source": {"files": images, "pattern": "**/*.png", **more.pop("source", {})},
        "target": {"path": into, "mode": "append", **more.pop("target", {})},
        "engine": "local",
        "decode": DECODE,
        "inputs": "content",
        "units": {"bytes": 1},
        **more,
    }
    report: Report = score_table(model=network, **given)
    return report


def labels(target: Path) -> dict[str, Any]:
    rows = ds.dataset(target).to_table()
    names = [Path(path).name for path in rows.column("path").to_pylist()]
    assert len(set(names)) == len(names)
    return dict(zip(names, rows.column("prediction").to_pylist(), strict=True))


def wanted(network: Path, numbers: range) -> dict[str, Any]:
    predicted = mlflow.sklearn.load_model(network).predict(NUMBERS[numbers.start : numbers.stop]).tolist()
    return {f"{number:03}.png": label for number, label in zip(numbers, predicted, strict=True)}


def test_each_image_has_the_label_of_the_network_and_content_stays_behind(
    network: Path, images: Path, tmp_path: Path
) -> None:
    report = score(network, images, tmp_path / "out", on_error="null")
    assert (report.rows_scored, report.bad_rows) == (21, 1)
    assert labels(tmp_path / "out") == {**wanted(network, range(20)), "damaged.png": None}
    rows = ds.dataset(tmp_path / "out").to_table()
    assert rows.schema.names[:3] == ["path", "modificationTime", "length"]
    assert "content" not in rows.schema.names
    [reason] = [each for each in rows.column("prediction_error").to_pylist() if each]
    assert reason["error_message"].startswith(f"{images}/1/damaged.png cannot be decoded: it is not an image")
    kept = {"keep": ["path", "content"]}
    prefetching = {"source": {"where": "length > 8"}, "resources": {"cpus": 2}}
    score(network, images, tmp_path / "with", on_error="null", target=kept, **prefetching)
    assert labels(tmp_path / "with") == wanted(network, range(20))
    rows = ds.dataset(tmp_path / "with").to_table()
    found = dict(zip(rows.column("path").to_pylist(), rows.column("content").to_pylist(), strict=True))
    assert found == {str(path): path.read_bytes() for path in images.rglob("0*.png")}


@pytest.mark.parametrize(("prefetch", "line"), [("auto", "on (a task has 2 cores)"), ("off", "off (as the job says)")])
def test_the_plan_says_why_a_task_prefetches(
    network: Path, images: Path, tmp_path: Path, prefetch: str, line: str
) -> None:
    job = {
        "engine": "local",
        "model": str(network),
        "source": {"files": str(images), "pattern": "**/*.png"},
        "target": {"path": str(tmp_path / "out")},
        "score": {"decode": DECODE, "inputs": "content", "prefetch": prefetch},
        "resources": {"cpus": 2},
    }
    plan = ScoringJob(JobConfig.model_validate(job)).plan()
    assert plan.tasks[-1] == f"prefetch: {line}"


def test_new_files_are_scored_once_and_damaged_ones_are_found_again(
    network: Path, images: Path, tmp_path: Path
) -> None:
    night: dict[str, Any] = {
        "incremental": True,
        "on_error": "quarantine",
        "quarantine": {"path": tmp_path / "aside", "columns": ["path"]},
    }
    assert score(network, images, tmp_path / "out", **night).bad_rows == 1
    write(images, range(20, 24))
    assert score(network, images, tmp_path / "out", **night).rows_scored == 4
    assert score(network, images, tmp_path / "out", **night).rows_scored == 0
    assert labels(tmp_path / "out") == wanted(network, range(24))
    [row] = ds.dataset(tmp_path / "aside", partitioning="hive").to_table().to_pylist()
    assert (row["source_file"], row["source_row"]) == ("1/damaged.png", 0)
    assert row["path"] == f"{images}/1/damaged.png"
    with pytest.raises(TargetError, match="other rows than this job selects") as refused:
        score(network, images, tmp_path / "out", **night, source={"where": "length > 8"})
    assert "incremental" not in refused.value.next_step  # files have no keys by which rows are new


def test_a_run_that_broke_goes_on_with_the_files_that_it_began_with(
    network: Path, images: Path, tmp_path: Path, breaks: Break
) -> None:
    (images / "1" / "damaged.png").unlink()
    breaks("seal:3:raise")
    with pytest.raises(InjectedError):
        score(network, images, tmp_path / "out")
    breaks("")
    write(images, range(20, 22))
    report = score(network, images, tmp_path / "out")
    assert report.units_before >= 1
    assert labels(tmp_path / "out") == wanted(network, range(20))


def test_a_run_that_failed_names_the_file_and_does_not_go_on_once_that_was_changed(
    network: Path, images: Path, tmp_path: Path
) -> None:
    with pytest.raises(UndecodableError, match=r"1 of .* rows cannot be decoded") as raised:
        score(network, images, tmp_path / "out")
    assert f"{images}/1/damaged.png" in str(raised.value)
    shutil.copy(images / "1" / "001.png", images / "1" / "damaged.png")
    with pytest.raises(UnfinishedRunError, match="source is no longer as it was"):
        score(network, images, tmp_path / "out")


@pytest.mark.parametrize(
    ("more", "error", "text"),
    [
        ({"source": {"pattern": "*.gif"}}, SourceError, "No file"),
        ({"source": {"where": "upper(path) = 'A'"}}, SourceError, "cannot be used"),
        (
            {"decode": {"image": {"size": 9, "mode": "L", "layout": "flat"}}},
            PlanError,
            "holds 81 numbers a row, the model takes 64",
        ),
        ({"decode": {"image": {**DECODE["image"], "column": "contents"}}}, PlanError, "did you mean 'content'"),
        ({"plane": "spark", "engine": "spark"}, PlanError, "take `plane: spark` out"),
    ],
)
def test_what_cannot_be_done_is_refused_before_a_file_is_opened(
    network: Path, images: Path, tmp_path: Path, more: dict[str, Any], error: type[PlanError], text: str
) -> None:
    with pytest.raises(error, match=text):
        score(network, images, tmp_path / "out", **more)
    assert not (tmp_path / "out").exists()
