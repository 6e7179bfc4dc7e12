"""Rows keep their order and their answers, however they are cut, in a worker and in the host of an executor."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spark_infer.core.contract import bind
from spark_infer.core.memory_ceiling import MemoryCeiling
from spark_infer.core.scoring import score_batches
from spark_infer.core.scoring_steps import ScoringSteps
from spark_infer.core.signature import Column, Signature
from spark_infer.core.stats import Stats
from spark_infer.runtime.host.hosted_model import HostedModel
from tests.unit.runtime.host.doubling import Doubling
from tests.unit.runtime.host.test_hosted_model import Executor

TABLE = pa.schema([("id", pa.int64()), ("text", pa.string())])
OUTPUTS = pa.schema([("y", pa.float64())])


@pytest.fixture(scope="module")
def hosted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostedModel]:
    executor = Executor(tmp_path_factory.mktemp("executor"))
    yield executor.worker()
    executor.close()


@settings(max_examples=60, deadline=None)
@given(
    in_executor=st.booleans(),
    texts=st.lists(st.text("abcde", min_size=1, max_size=9), max_size=40),
    cuts=st.lists(st.integers(0, 9), max_size=5),
    deduplicate=st.sampled_from(["never", "auto", "always"]),
    batch_size=st.none() | st.integers(1, 9),
    max_batch_bytes=st.integers(8, 400),
    ceiling=st.none() | st.integers(1, 30),
)
def test_any_cut_gives_the_same_rows_in_the_same_order_in_a_worker_and_in_an_executor(
    hosted: HostedModel,
    in_executor: bool,
    texts: list[str],
    cuts: list[int],
    deduplicate: str,
    batch_size: int | None,
    max_batch_bytes: int,
    ceiling: int | None,
) -> None:
    whole = pa.RecordBatch.from_pydict({"id": range(len(texts)), "text": texts}, schema=TABLE)
    ends = [0, *(min(sum(cuts[: number + 1]), len(texts)) for number in range(len(cuts))), len(texts)]
    arriving = [whole.slice(start, end - start) for start, end in pairwise(ends)]
    steps = ScoringSteps(
        label="m version 1",
        binding=bind(TABLE, Signature(inputs=(Column(name="text", type=pa.string()),))),
        raw_outputs=OUTPUTS,
        outputs=OUTPUTS,
        preprocess=None,
        postprocess=lambda batch: batch,
        batch_size=batch_size,
        max_batch_bytes=max_batch_bytes,
        deduplicate=deduplicate,
        ceiling=MemoryCeiling(ceiling),
    )
    model, stats = hosted if in_executor else Doubling(), Stats()
    scored = list(score_batches(arriving, lambda: model, steps, stats))
    assert [value for each in scored for value in each.rows["id"].to_pylist()] == [*range(len(texts))]
    found = [value for each in scored for value in each.outputs["y"].to_pylist()]
    assert found == [2 * sum(text.encode()) for text in texts]
    assert stats.rows == len(texts)
