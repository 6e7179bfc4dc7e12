"""What a run leaves for the next one of the trial of its model."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from spark_infer.job.trial import Trial
from spark_infer.models.rehearsal import Rehearsal

SEEN = Trial(
    how="arrays",
    acceleration="on",
    by_row=True,
    batch_rows=10_000,
    rehearsal=Rehearsal(row_order="in order", any_size=True),
)


def test_it_is_read_as_it_was_written() -> None:
    facts = json.loads(json.dumps(SEEN.to_facts("key")))
    assert Trial.of_facts(facts, "key") == SEEN
    assert Trial.of_facts(facts, "other") is None
    assert Trial.of_facts({}, "key") is None


@pytest.mark.parametrize("why", [{"warning": "it raised"}, {"difference": "it answered otherwise"}])
def test_a_model_that_misbehaved_is_tried_each_time(why: dict[str, Any]) -> None:
    assert replace(SEEN, rehearsal=Rehearsal(**why)).to_facts("key") == {}


@pytest.mark.parametrize(("name", "value"), [("how", 1), ("by_row", None), ("batch_rows", "5"), ("any_size", 1)])
def test_facts_of_another_form_are_not_believed(name: str, value: Any) -> None:
    facts = SEEN.to_facts("key")
    facts["trial"][name] = value
    assert Trial.of_facts(facts, "key") is None
