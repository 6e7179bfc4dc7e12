from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from spark_infer.core.contract import bind
from spark_infer.core.outputs import Predictions
from spark_infer.core.scoring import score_batches
from spark_infer.core.scoring_steps import ScoringSteps
from spark_infer.core.signature import Column, Signature
from spark_infer.core.stats import Stats

TABLE = pa.schema([("id", pa.int64())])


class Repeats:
    """Answers each row with a text of so many letters."""

    by_row = True

    def __init__(self, letters: int) -> None:
        self.letters, self.seen = letters, list[int]()

    def predict(self, inputs: pa.RecordBatch) -> Predictions:
        self.seen.append(inputs.num_rows)
        return {None: [f"{value}".rjust(self.letters) for value in inputs.column(0).to_pylist()]}

    def close(self) -> None:
        pass


def scored(model: Repeats, rows: int, kind: pa.DataType, **more: object) -> list[pa.RecordBatch]:
    outputs = pa.schema([("prediction", kind)])
    given: dict[str, object] = {"batch_size": None, "max_batch_bytes": 100_000, **more}
    steps = ScoringSteps(
        label="m version 1",
        binding=bind(TABLE, Signature(inputs=(Column(name="id", type=pa.int64()),))),
        raw_outputs=outputs,
        outputs=outputs,
        preprocess=None,
        postprocess=lambda batch: batch,
        **given,  # type: ignore[arg-type]
    )
    whole = pa.RecordBatch.from_pydict({"id": range(rows)}, schema=TABLE)
    return [each.outputs for each in score_batches([whole], lambda: model, steps, Stats())]


def test_outputs_that_are_larger_than_their_rows_come_in_pieces_of_bounded_bytes() -> None:
    model = Repeats(1_996)  # 2,000 bytes with its offset: 200 of them are four times the bytes of a batch
    found = scored(model, 1_000, pa.string(), batch_size=256)
    assert model.seen == [256, 200, 56, 200, 56, 200, 32]
    assert max(each.nbytes for each in found[1:]) <= 4 * 100_000 + 8
    assert [int(value) for each in found for value in each.column(0).to_pylist()] == list(range(1_000))


def test_outputs_of_fixed_width_are_not_looked_at() -> None:
    class Doubles(Repeats):
        def predict(self, inputs: pa.RecordBatch) -> Predictions:
            self.seen.append(inputs.num_rows)
            return {None: inputs.column(0)}

    model = Doubles(1)
    scored(model, 1_000, pa.int64())
    assert model.seen == [1_000]


@given(st.integers(0, 700), st.integers(1, 3_000), st.sampled_from(["never", "always"]), st.integers(1, 50_000))
def test_the_rows_keep_their_order_however_wide_their_outputs_are(
    rows: int, letters: int, deduplicate: str, max_batch_bytes: int
) -> None:
    found = scored(Repeats(letters), rows, pa.string(), deduplicate=deduplicate, max_batch_bytes=max_batch_bytes)
    assert [int(value) for each in found for value in each.column(0).to_pylist()] == list(range(rows))
