from __future__ import annotations

import math
import sys
import types

import pyarrow as pa
import pytest

from spark_infer.config import ArgmaxLabelStep, FunctionStep, LabelMapStep, ThresholdStep, TopKStep
from spark_infer.core.steps import call, compile_postprocess, load_function
from spark_infer.errors import StepError, StepFailedError

SCORES = pa.RecordBatch.from_pydict({"p0": [0.4, 0.9, None], "p1": [0.6, 0.1, 0.3]})


def test_threshold_is_true_from_its_value_on_and_null_for_null() -> None:
    step = compile_postprocess([ThresholdStep(column="p0", at=0.9, output="hot")])
    assert step(SCORES).column("hot").to_pylist() == [False, True, None]


def test_argmax_names_the_best_class_and_gives_null_where_a_score_is_missing() -> None:
    step = compile_postprocess([ArgmaxLabelStep(columns=("p0", "p1"), labels=("no", "yes"))])
    assert step(SCORES).column("label").to_pylist() == ["yes", "no", None]


def test_argmax_takes_the_first_of_a_tie_and_reads_an_array_column() -> None:
    batch = pa.RecordBatch.from_pydict({"p": [[0.5, 0.5], [0.1, 0.9]]})
    step = compile_postprocess([ArgmaxLabelStep(columns=("p",), labels=("a", "b"))])
    assert step(batch).column("label").to_pylist() == ["a", "b"]


def test_top_k_is_sorted_and_puts_missing_scores_last() -> None:
    best = compile_postprocess([TopKStep(columns=("p0", "p1"), k=2)])(SCORES).column("top_k").to_pylist()
    assert [row["label"] for row in best[0]] == ["p1", "p0"]
    assert best[2][0] == {"label": "p1", "score": 0.3}
    assert math.isnan(best[2][1]["score"])


def test_label_map_keeps_null_and_uses_the_default_for_what_has_no_name() -> None:
    batch = pa.RecordBatch.from_pydict({"y": [0, 1, 7, None]})
    names = {"0": "on time", "1": "late"}
    replaced = compile_postprocess([LabelMapStep(column="y", labels=names)])(batch)
    assert replaced.to_pydict() == {"y": ["on time", "late", None, None]}
    added = compile_postprocess([LabelMapStep(column="y", labels=names, default="?", output="name")])(batch)
    assert added.column("name").to_pylist() == ["on time", "late", "?", None]


def test_label_map_compares_values_not_spellings() -> None:
    batch = pa.RecordBatch.from_pydict({"y": [2.0, 0.5, None]})
    step = compile_postprocess([LabelMapStep(column="y", labels={"2.0": "two", "0.50": "half"})])
    assert step(batch).to_pydict() == {"y": ["two", "half", None]}
    with pytest.raises(StepError, match="cannot hold"):
        compile_postprocess([LabelMapStep(column="y", labels={"late": "x"})])(batch)


def test_every_step_takes_an_empty_batch_and_adds_the_same_types() -> None:
    steps = compile_postprocess(
        [
            ThresholdStep(column="p0", at=0.9, output="hot"),
            ArgmaxLabelStep(columns=("p0", "p1")),
            TopKStep(columns=("p0", "p1"), k=1),
            LabelMapStep(column="label", labels={"p0": "x"}, output="name"),
        ]
    )
    assert steps(SCORES.slice(0, 0)).schema == steps(SCORES).schema


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (ThresholdStep(column="p2", at=1, output="x"), "names the output 'p2'"),
        (ThresholdStep(column="p0", at=1, output="p1"), "exists already"),
        (ArgmaxLabelStep(columns=("p0", "p1"), labels=("a",)), "1 labels for 2 scores"),
    ],
)
def test_a_step_that_does_not_fit_the_outputs_is_refused(step: ThresholdStep | ArgmaxLabelStep, message: str) -> None:
    with pytest.raises(StepError, match=message):
        compile_postprocess([step])(SCORES)


@pytest.fixture
def mine(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    module = types.ModuleType("my_steps")
    monkeypatch.setitem(sys.modules, "my_steps", module)
    return module


def test_a_function_of_ones_own_is_one_more_step(mine: types.ModuleType) -> None:
    mine.double = lambda batch: pa.RecordBatch.from_pydict({"twice": [v * 2 for v in batch.column("p1").to_pylist()]})  # type: ignore[attr-defined]
    assert compile_postprocess([FunctionStep(function="my_steps:double")])(SCORES).to_pydict() == {
        "twice": [1.2, 0.2, 0.6]
    }


def test_a_function_that_is_not_there_is_refused_with_the_nearest_name(mine: types.ModuleType) -> None:
    mine.prepare = lambda batch: batch  # type: ignore[attr-defined]
    with pytest.raises(StepError, match="did you mean 'prepare'"):
        load_function("my_steps:prepair", role="preprocess")
    with pytest.raises(StepError, match="cannot be imported here"):
        load_function("no_such_module:f", role="preprocess")


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda batch: batch.slice(1), "returned 2 rows for a batch of 3"),
        (lambda batch: batch.to_pydict(), "returned dict"),
        (lambda batch: 1 / 0, "ZeroDivisionError"),
    ],
)
def test_a_function_that_breaks_its_promise_is_an_error(function: object, message: str) -> None:
    with pytest.raises(StepFailedError, match=message):
        call(function, SCORES, spec="m:f", role="preprocess", show_values=False)  # type: ignore[arg-type]


def test_the_message_of_a_foreign_exception_shows_only_when_asked_for() -> None:
    def fail(batch: pa.RecordBatch) -> pa.RecordBatch:
        raise ValueError("row 17 is 4111-1111")

    for show_values in (False, True):
        with pytest.raises(StepFailedError) as failure:
            call(fail, SCORES, spec="m:f", role="preprocess", show_values=show_values)
        assert ("4111" in str(failure.value)) is show_values
        assert failure.value.__cause__ is None


def test_a_table_is_as_good_as_a_batch() -> None:
    result = call(
        lambda batch: pa.Table.from_batches([batch, batch]).slice(0, 3),
        SCORES,
        spec="m:f",
        role="preprocess",
        show_values=False,
    )
    assert isinstance(result, pa.RecordBatch)
    assert result.equals(SCORES)


def test_a_step_that_does_not_fit_is_named_by_its_index() -> None:
    fits = ThresholdStep(column="p", at=0.5, output="hot")
    steps = compile_postprocess([fits, ThresholdStep(column="q", at=0.5, output="warm")])
    with pytest.raises(StepError, match=r"^postprocess\[1\]: The postprocess step threshold names the output 'q'"):
        steps(pa.RecordBatch.from_pydict({"p": [0.1]}))
    with pytest.raises(StepError, match=r"^postprocess\[1\]: The postprocess function 'no_such_module:f'"):
        compile_postprocess([fits, FunctionStep(function="no_such_module:f")])
