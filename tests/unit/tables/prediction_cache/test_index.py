"""Predictions that are written for a cache are found again, to the last bit; what is gone is predicted again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_infer.core.duplicates import Digests, row_digests
from spark_infer.errors import SchemaMismatchError, SourceReadError
from spark_infer.tables.prediction_cache.cached_columns import as_column, as_digests, cache_schema
from spark_infer.tables.prediction_cache.index import PredictionIndex
from spark_infer.tables.sink.new_predictions import NewPredictions
from spark_infer.tables.sink.sink_spec import CacheSpec, SinkSpec
from spark_infer.tables.storage import open_storage

OUTPUTS = pa.schema([("embedding", pa.list_(pa.float32())), ("label", pa.string())])
WIDTH = 384
"""More than a MiB of embeddings are 683 rows: the row groups of a file."""
ROWS = 2_000


def digests_of(rows: range | list[int]) -> Digests:
    return row_digests(pa.RecordBatch.from_pydict({"id": pa.array(rows, pa.int64())}))


def answers(rows: range | list[int]) -> pa.RecordBatch:
    numbers = np.random.default_rng(1).normal(size=(2 * ROWS, WIDTH)).astype(np.float32)
    numbers[:, 0], numbers[::2, 1], numbers[::2, 2] = -0.0, np.nan, np.inf
    values = pa.array(numbers[[*rows]].ravel())
    ends = np.arange(0, WIDTH * len(rows) + 1, WIDTH, dtype=np.int32)
    labels = pa.array([None if row % 7 == 0 else f"label {row % 3}" for row in rows], pa.string())
    return pa.RecordBatch.from_arrays([pa.ListArray.from_arrays(ends, values), labels], schema=OUTPUTS)


def bits(batch: pa.RecordBatch) -> tuple[bytes, list[str | None]]:
    return batch.column("embedding").flatten().to_numpy().tobytes(), batch.column("label").to_pylist()


def write(folder: Path, rows: range, task: int = 0, found: pa.RecordBatch | None = None) -> str:
    found = answers(rows) if found is None else found
    outputs = found.schema
    sink = SinkSpec(
        uri=f"file://{folder}",
        run_id="run",
        schema=cache_schema(outputs),
        constants={"model_name": "m", "model_version": "1", "cached_at": None},
        partition_by=("model_digest", "scoring_digest"),
    )
    spec = CacheSpec(sink=sink, uri=sink.uri, scoring="0a" * 32, digest="0b" * 32, files=(), outputs=outputs)
    new = NewPredictions(spec, task)
    new.add(digests_of(rows), found)
    (file,) = new.close()
    assert (file.cached, file.is_scored, file.rows) == (True, False, len(rows))
    return file.path


def index(folder: Path, *files: str, held_bytes: int = 2**20) -> PredictionIndex:
    storage = open_storage(f"file://{folder}")
    assert storage is not None
    return PredictionIndex(storage, files, OUTPUTS, held_bytes=held_bytes)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, PredictionIndex]:
    folder = tmp_path_factory.mktemp("cache")
    files = [write(folder, range(1_500)), write(folder, range(1_200, ROWS), task=1)]
    assert pq.read_metadata(folder / files[0]).num_row_groups == 3
    return folder, index(folder, *files)


@given(st.lists(st.integers(0, 2 * ROWS - 1), max_size=50))
def test_what_was_written_is_found_in_the_order_of_the_question(
    cache: tuple[Path, PredictionIndex], rows: list[int]
) -> None:
    known, found = cache[1].find(digests_of(rows))
    assert known.tolist() == [row < ROWS for row in rows]
    assert bits(found) == bits(answers([row for row in rows if row < ROWS]))


@pytest.mark.parametrize(
    "values",
    [
        pa.array([[1.0, 2.0], None, [3.0, None]], pa.list_(pa.float32(), 2)),
        pa.array([[[1.0, 2.0], None], None, []], pa.list_(pa.list_(pa.float32(), 2))),
        pa.array([{"a": [1.0, 2.0]}, {"a": None}, None], pa.struct([("a", pa.list_(pa.float32(), 2))])),
    ],
    ids=["list", "in a list", "in a struct"],
)
def test_lists_of_fixed_size_with_nulls_are_found_again(tmp_path: Path, values: pa.Array) -> None:
    batch = pa.RecordBatch.from_arrays([values], ["embedding"])
    file = write(tmp_path, range(3), found=batch)
    storage = open_storage(f"file://{tmp_path}")
    assert storage is not None
    known, found = PredictionIndex(storage, [file], batch.schema).find(digests_of(range(3)))
    assert known.all()
    assert found.equals(batch)


def test_an_empty_cache_knows_nothing(tmp_path: Path) -> None:
    known, found = index(tmp_path).find(digests_of(range(3)))
    assert (known.tolist(), found.num_rows, found.schema) == ([False] * 3, 0, OUTPUTS)


def test_rows_of_the_same_first_half_of_their_digest_are_told_apart(tmp_path: Path) -> None:
    path = write(tmp_path, range(10))
    asked = digests_of(range(10)).copy()
    asked[3, 1] += 1
    known, found = index(tmp_path, path).find(asked)
    assert known.tolist() == [row != 3 for row in range(10)]
    assert bits(found) == bits(answers([row for row in range(10) if row != 3]))


def test_a_file_that_is_gone_holds_nothing(tmp_path: Path) -> None:
    files = [write(tmp_path, range(10)), write(tmp_path, range(10, 20), task=1)]
    before = index(tmp_path, *files)
    (tmp_path / files[0]).unlink()
    for each in (before, index(tmp_path, *files)):
        known, found = each.find(digests_of(range(20)))
        assert known.tolist() == [row >= 10 for row in range(20)]
        assert bits(found) == bits(answers(range(10, 20)))


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, range(10))
    content = bytearray((tmp_path / path).read_bytes())
    content[4:400] = bytes(396)
    (tmp_path / path).write_bytes(content)
    with pytest.raises(SourceReadError, match=r"A file of the prediction cache, .*\.parquet, is damaged") as caught:
        index(tmp_path, path).find(digests_of(range(10)))
    assert "remove the folder of the cache, or of a Parquet one that file alone" in str(caught.value)


def test_digests_are_a_column_and_back() -> None:
    digests = digests_of(range(5))
    assert (as_digests(as_column(digests).slice(2)) == digests[2:]).all()
    with pytest.raises(ValueError, match="not of 16 bytes"):
        as_digests(pa.array([b"short"]))


def test_an_output_with_the_name_of_a_column_of_the_cache_is_refused() -> None:
    with pytest.raises(SchemaMismatchError, match="names of the model's outputs"):
        cache_schema(pa.schema([("Row_Digest", pa.float64())]))


def test_memory_is_bounded_by_the_row_groups_that_are_held(cache: tuple[Path, PredictionIndex]) -> None:
    cache[1].find(digests_of(range(ROWS)))
    held = [batch.nbytes for batch in cache[1]._held.values() if batch is not None]
    assert 0 < sum(held) <= 2**20  # of 3 MB that were read
