"""From raw timings to the table of a benchmark."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from benchmarks.cost import Cost
from benchmarks.report import Cold, markdown, noisy_runs, save, summarise
from benchmarks.rounds import Run

ROWS = 1_000_000


def _run(engine: str, number: int, seconds: float, *, cpu: float = 1.0, others: float = 0.0, rows: int = ROWS) -> Run:
    cost = Cost(seconds=seconds, cpu_seconds=cpu, other_cpu_seconds=others)
    return Run(engine=engine, round=number, place=0, cost=cost, rows=rows)


# In the second round the machine is half as fast; the engines run in the other order.
RUNS = [
    _run("ours", 0, 2.0, cpu=4.0),
    _run("peer", 0, 6.0, cpu=8.0),
    _run("peer", 1, 12.0, cpu=16.0),
    _run("ours", 1, 4.0, cpu=8.0),
]


def test_a_ratio_is_the_engines_seconds_by_those_of_the_base_in_the_same_round() -> None:
    ours, peer = summarise(RUNS, rows=1_000_000, base="ours")
    assert (ours.engine, ours.seconds_ratio.median) == ("ours", 1.0)
    assert (peer.seconds_ratio.smallest, peer.seconds_ratio.median, peer.seconds_ratio.largest) == (3.0, 3.0, 3.0)
    assert peer.cpu_ratio.median == 2.0


def test_rows_per_second_and_cpu_seconds_follow_from_the_rows() -> None:
    ours, _ = summarise([replace(run, rows=2 * ROWS) for run in RUNS], rows=2 * ROWS, base="ours")
    assert (ours.rows_per_second.smallest, ours.rows_per_second.largest) == (500_000, 1_000_000)
    assert ours.cpu_seconds_per_million_rows.median == 3.0  # of 4 s and 8 s for two million rows


def test_the_base_comes_first_and_a_slow_engine_is_compared_on_the_rounds_it_has() -> None:
    lines = summarise([_run("slow", 0, 20.0), *RUNS], rows=ROWS, base="ours")
    assert [(line.engine, line.rounds) for line in lines] == [("ours", 2), ("slow", 1), ("peer", 2)]
    assert lines[1].seconds_ratio.median == 10.0


def test_with_two_sizes_start_and_cost_of_a_row_are_told_apart() -> None:
    # 1 s before any row, and 1 s for each million rows.
    runs = [
        _run("ours", number, seconds, rows=rows)
        for number in (0, 1)
        for seconds, rows in ((1.25, ROWS // 4), (2, ROWS))
    ]
    cold = Cold(host_seconds=3.0, first_job_seconds=9.0, peak_bytes=5 * 2**20)
    (line,) = summarise(runs, rows=ROWS, base="ours", cold={"ours": cold})
    assert line.fit is not None
    assert (line.fit.start_seconds.median, line.fit.nanoseconds_per_row.median) == (1.0, 1000.0)
    assert "| 1.00 | 1,000 | 3.0 | 9.0 | 5 |" in markdown([line], noisy=0, runs=4)


def test_a_run_is_noisy_when_others_used_more_than_a_twentieth_of_the_cores() -> None:
    quiet, noisy = _run("ours", 0, 10.0, others=0.9), _run("ours", 1, 10.0, others=1.1)
    assert noisy_runs([quiet, noisy], cores=2) == [noisy]


def test_the_table_names_the_base_and_gives_each_ratio_with_its_spread() -> None:
    table = markdown(summarise(RUNS, rows=1_000_000, base="ours"), noisy=1, runs=4)
    assert "| x the seconds of ours |" in table
    assert "| peer | 9.00 (6.00..12.00) | 125,000 | 12.00 | 3.00x (3.00..3.00) [3.00..3.00] |" in table
    assert "in 1 of 4 runs" in table


def test_a_saved_report_is_json_with_the_table_beside_it(tmp_path: Path) -> None:
    path = save(tmp_path / "new", "quick-2030-01-01", {"rows": 3}, "a table\n")
    assert json.loads(path.read_text()) == {"rows": 3}
    assert path.with_suffix(".md").read_text() == "a table\n"
