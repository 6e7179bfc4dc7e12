from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_infer.tables.listing import Footer, Listing, SourceFile
from spark_infer.tables.scan.cut import (
    LEAST_BYTES,
    MOST_BYTES,
    OPEN_BYTES,
    cut,
    cut_by_partition,
    task_bytes,
    too_large,
)

MIB = 2**20


def listing(sizes: list[int], groups: int = 0) -> Listing:
    files = tuple(SourceFile(f"{number}.parquet", size, rows=1000) for number, size in enumerate(sizes))
    footer = Footer(rows=1000 * groups, columns="", metadata={}, group_rows=(1000,) * groups)
    return Listing(files, {file.path: footer for file in files} if groups else {})


@given(st.lists(st.integers(0, 600 * MIB), max_size=30), st.integers(0, 40), st.integers(1, 64))
def test_every_row_group_is_read_once_and_in_order(sizes: list[int], groups: int, slots: int) -> None:
    read = [
        (piece.path, group)
        for task in cut(listing(sizes, groups), slots)
        for piece in task.pieces
        for group in (range(groups) if piece.groups is None else piece.groups)
    ]
    assert read == [(f"{number}.parquet", group) for number in range(len(sizes)) for group in range(groups)]


@given(st.lists(st.integers(0, 600 * MIB), max_size=30), st.integers(1, 64))
def test_every_file_is_read_once_where_no_footer_is_known(sizes: list[int], slots: int) -> None:
    tasks = cut(listing(sizes), slots)
    assert [task.number for task in tasks] == list(range(len(tasks)))
    assert [piece.path for task in tasks for piece in task.pieces] == [f"{n}.parquet" for n in range(len(sizes))]
    assert all(piece.groups is None for task in tasks for piece in task.pieces)


def test_small_files_are_packed_and_the_cost_of_opening_them_counts() -> None:
    tasks = cut(listing([1000] * 100_000), 2)
    sizes = [len(task.pieces) for task in tasks]
    assert sum(sizes) == 100_000
    assert max(sizes) - min(sizes[:-1]) <= 1
    assert max(sizes) * OPEN_BYTES <= MOST_BYTES + 2 * OPEN_BYTES


def test_one_large_file_is_cut_into_tasks_of_nearly_equal_weight() -> None:
    large = listing([10_000 * MIB], groups=157)
    weights = [task.weight for task in cut(large, 2)]
    assert len(weights) == 79
    assert max(weights) <= 1.2 * sum(weights) / len(weights)
    assert sum(piece.rows or 0 for task in cut(large, 2) for piece in task.pieces) == 157_000


def test_a_task_is_a_share_of_the_work_but_neither_tiny_nor_huge() -> None:
    assert task_bytes(listing([4 * MIB] * 3), 2) == LEAST_BYTES
    assert task_bytes(listing([10_000 * MIB] * 4), 2) == MOST_BYTES
    assert task_bytes(listing([79 * MIB]), 2) == 10 * MIB


def test_the_few_files_of_a_small_table_are_spread_over_all_slots() -> None:
    assert [len(task.pieces) for task in cut(listing([300_000] * 4), 2)] == [2, 2]
    assert [len(task.pieces) for task in cut(listing([300_000] * 3), 2)] == [1, 1, 1]
    assert [len(task.pieces) for task in cut(listing([28_000, 28_000, 900]), 2)] == [1, 1, 1]
    assert [len(task.pieces) for task in cut(listing([28_000] * 17), 16)] == [1] * 17
    assert [len(task.pieces) for task in cut(listing([300_000] * 3), 8)] == [1, 1, 1]
    assert len(cut(listing([300_000], groups=4), 2)) == 1


def test_only_large_files_without_a_footer_must_be_looked_at() -> None:
    assert too_large(listing([1, 500 * MIB, 600 * MIB]), 2) == ["1.parquet", "2.parquet"]
    assert too_large(listing([1, 500 * MIB], groups=3), 2) == []


def test_each_table_partition_is_one_task_however_its_value_is_written() -> None:
    files = tuple(SourceFile(f"{n}", 1, {"p": text}, rows=n) for n, text in enumerate(["1", None, "2", "01"]))
    tasks = cut_by_partition(Listing(files), {"p": "int"})
    assert [[piece.path for piece in task.pieces] for task in tasks] == [["0", "3"], ["1"], ["2"]]


@pytest.mark.parametrize(
    ("text", "kind", "doubts"),
    [
        ("x", "int", ()),
        ("1", "double", ()),
        ("", "string", ()),
        ("a", "string collate UTF8_LCASE", ()),
        ("1", "int", ("?",)),
    ],
)
def test_a_partition_that_cannot_be_named_by_its_value_makes_no_task(
    text: str, kind: str, doubts: tuple[str, ...]
) -> None:
    assert cut_by_partition(Listing((SourceFile("0", 1, {"p": text}),), doubts=doubts), {"p": kind}) == []
    assert cut_by_partition(Listing((SourceFile("0", 1),)), {}) == []
