from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spark_infer.engines.preview_rows import Selection, Shown, from_streams
from spark_infer.tables.scan.task import Piece, Scan, ScanTask

TASKS = [ScanTask(number, tuple(Piece(f"{number}-{place}", 1) for place in range(10))) for number in range(10)]


def pieces(tasks: tuple[ScanTask, ...]) -> list[str]:
    return [piece.path for task in tasks for piece in task.pieces]


def test_a_sample_of_many_files_is_drawn_from_a_few_of_them() -> None:
    drawn, tasks = Selection(rows=5, share=0.01, seed=3).among(TASKS)
    assert len(pieces(tasks)) == 16
    assert drawn.share == pytest.approx(0.01 * 100 / 16)
    drawn, tasks = Selection(rows=5, share=0.5).among(TASKS)
    assert (len(pieces(tasks)), drawn.share) == (50, 1.0)


def test_the_seed_decides_which_files() -> None:
    first, same, other = (pieces(Selection(rows=5, share=0.1, seed=seed).among(TASKS)[1]) for seed in (1, 1, 2))
    assert first == same
    assert first != other


def test_the_first_rows_may_be_in_any_task() -> None:
    selection = Selection(rows=5)
    assert selection.among(TASKS) == (selection, tuple(TASKS))


@pytest.fixture
def scan(tmp_path: Path) -> Scan:
    for number in range(2):
        pq.write_table(pa.table({"id": range(number * 1000, number * 1000 + 1000)}), tmp_path / f"{number}.parquet")
    return Scan(uri=tmp_path.as_uri(), schema=pa.schema([("id", pa.int64())]), batch_rows=100)


def ids(selection: Selection, scan: Scan) -> list[int]:
    folder = Path(scan.uri.removeprefix("file://"))
    task = ScanTask(0, tuple(Piece(path.name, path.stat().st_size) for path in sorted(folder.iterdir())))
    return [value for batch in selection.read(task, scan, threads=1) for value in batch.column("id").to_pylist()]


def test_the_first_rows_are_the_first(scan: Scan) -> None:
    assert ids(Selection(rows=1050), scan) == [*range(1050)]


def test_a_sample_has_rows_of_each_file_and_the_seed_decides_which(scan: Scan) -> None:
    drawn = ids(Selection(rows=5, share=0.1, seed=1), scan)
    assert 140 < len(drawn) < 260  # 200, and four times the deviation of 13.4
    assert drawn == sorted(set(drawn))
    assert drawn[0] < 1000 < drawn[-1]
    assert drawn == ids(Selection(rows=5, share=0.1, seed=1), scan)
    assert drawn != ids(Selection(rows=5, share=0.1, seed=2), scan)
    assert [each for each in drawn if each < 1000] != [each - 1000 for each in drawn if each >= 1000]


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_what_is_shown_comes_from_all_over_what_was_scored(size: int) -> None:
    shown = Shown(10)
    for start in range(0, 1000, size):
        shown.add(pa.RecordBatch.from_pydict({"x": list(range(start, min(start + size, 1000)))}))
    rows = from_streams([b"", shown.to_stream()])
    assert rows is not None
    assert rows.column("x").to_pylist() == [*range(0, 1000, 64)]
    assert shown.seen == 1000


def test_few_rows_are_shown_as_they_are_and_none_are_nothing() -> None:
    shown = Shown(10)
    assert (shown.to_stream(), from_streams([b""])) == (b"", None)
    shown.add(pa.RecordBatch.from_pydict({"x": list(range(20))}))
    rows = from_streams([shown.to_stream()])
    assert rows is not None
    assert rows.column("x").to_pylist() == [*range(20)]
