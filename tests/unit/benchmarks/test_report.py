"""From raw timings to the table of a benchmark."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.cost import Cost
from benchmarks.report import markdown, noisy_runs, save, summarise
from benchmarks.rounds import Run


def _run(engine: str, number: int, seconds: float, *, cpu: float = 1.0, others: float = 0.0) -> Run:
    cost = Cost(seconds=seconds, cpu_seconds=cpu, other_cpu_seconds=others)
    return Run(engine=engine, round=number, place=0, cost=cost)


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
    ours, _ = summarise(RUNS, rows=2_000_000, base="ours")
    assert (ours.rows_per_second.smallest, ours.rows_per_second.largest) == (500_000, 1_000_000)
    assert ours.cpu_seconds_per_million_rows.median == 3.0  # of 4 s and 8 s for two million rows


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
