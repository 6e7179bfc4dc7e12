from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from spark_infer.errors import InputValueError
from spark_infer.models.backends.pipeline_tasks import task_of


def labels_of(labels: Any) -> Any:
    task = task_of({"task": "zero-shot-classification"})
    assert task is not None
    (row,) = task.given(pa.record_batch({"sequences": ["a text"], "candidate_labels": [labels]}))
    return row[1]


@pytest.mark.parametrize("labels", [["a", "b"], '["a", "b"]', "a, b", '"a, b"'])
def test_labels_are_a_list_or_a_text_of_one(labels: Any) -> None:
    assert labels_of(labels) == ("a", "b")


@pytest.mark.parametrize("labels", ["null", "true", '{"a": 1}', "2024", '["a", null]', '["a", {"b": 1}]', [[1], [2]]])
def test_other_values_are_not_made_into_labels(labels: Any) -> None:
    with pytest.raises(InputValueError, match="other than a list of texts"):
        labels_of(labels)
