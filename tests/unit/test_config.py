from __future__ import annotations

from typing import Any

import pytest

from spark_infer.config import FunctionStep, LabelMapStep, ScoreOptions, ThresholdStep

THRESHOLD = ThresholdStep(column="p", at=0.5, output="hot")
LABELS = LabelMapStep(column="y", labels={"0": "no"})


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ([{"kind": "threshold", "column": "p", "at": 0.5, "output": "hot"}], (THRESHOLD,)),
        ([{"threshold": {"column": "p", "at": 0.5, "output": "hot"}}], (THRESHOLD,)),
        ({"threshold": {"column": "p", "at": 0.5, "output": "hot"}}, (THRESHOLD,)),
        (["m:f", {"label_map": {"column": "y", "labels": {"0": "no"}}}], (FunctionStep(function="m:f"), LABELS)),
        ("m:f", (FunctionStep(function="m:f"),)),
        ([THRESHOLD], (THRESHOLD,)),
        ((), ()),
    ],
)
def test_a_step_may_be_written_short_or_long(given: Any, made: tuple[object, ...]) -> None:
    assert ScoreOptions(postprocess=given).postprocess == made


def test_one_name_stands_for_a_list_of_one() -> None:
    options = ScoreOptions.model_validate({"inputs": "x", "predict_method": "predict", "allow_casts": "long->double"})
    assert (options.inputs, options.predict_method, options.allow_casts) == (("x",), ("predict",), ("long->double",))
