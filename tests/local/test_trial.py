"""A model that was tried by the run that left the bookmark is not loaded on the driver once more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from spark_infer.job import trial
from spark_infer.models.driver import load_here
from tests.line import save_light_line
from tests.local.new_rows import append, counts, doubled, new_rows, predictions

pytestmark = pytest.mark.usefixtures("in_this_process")


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is loaded on the driver; tasks load models in another way."""
    loaded: list[str] = []

    def seen(spec: Any, ref: Any, *more: Any) -> Any:
        loaded.append(ref.digest)
        return load_here(spec, ref, *more)

    monkeypatch.setattr("spark_infer.engines.local.engine.load_here", seen)
    return loaded


def test_the_next_run_believes_what_was_seen(line: str, tmp_path: Path, loads: list[str]) -> None:
    append(tmp_path / "in", 0)
    scoring = new_rows(line, tmp_path)
    scoring.run()
    assert loads
    append(tmp_path / "in", 3)
    first = new_rows(line, tmp_path / "other", source={"path": str(tmp_path / "in")}).plan()
    loads.clear()
    plan = scoring.plan()
    assert (plan.backend, plan.acceleration, plan.row_order) == (first.backend, first.acceleration, first.row_order)
    assert plan.steps == first.steps
    assert plan.warnings == first.warnings
    assert counts(scoring.run()) == (0, 3, False)
    assert counts(scoring.run()) == (1, 0, True)
    assert not loads
    assert predictions(tmp_path) == doubled(6)


@pytest.mark.parametrize("changed", ["model", "option", "library", "columns", "new run"])
def test_what_has_changed_is_tried_again(
    line: str, tmp_path: Path, loads: list[str], monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    append(tmp_path / "in", 0)
    more: dict[str, Any] = {"target": {"keep": ["id"]}}
    new_rows(line, tmp_path, **more).run()
    append(tmp_path / "in", 3)
    model = line
    match changed:
        case "model":
            model = save_light_line(tmp_path / "tripling", 3.0)
        case "option":
            more |= {"score": {"accelerate": "off"}}
        case "library":
            monkeypatch.setattr(trial, "installed_version", lambda name: "99")
        case "columns":
            append(tmp_path / "in", 6, more=1)
        case _:
            pass
    loads.clear()
    job = new_rows(model, tmp_path, **more)
    job.plan(new_run=True) if changed == "new run" else job.plan()
    assert loads


def test_a_source_with_nothing_new_needs_no_model(line: str, tmp_path: Path, loads: list[str]) -> None:
    append(tmp_path / "in", 0)
    new_rows(line, tmp_path).run()
    loads.clear()
    assert new_rows(save_light_line(tmp_path / "tripling", 3.0), tmp_path).run().nothing_new
    assert not loads
