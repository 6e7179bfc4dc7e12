"""The page of the suite, made of the records of its workloads."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from benchmarks.cost import Cost
from benchmarks.page import BEGIN, END, put_into, read_records, targets, write_page
from benchmarks.report import summarise
from benchmarks.rounds import Run
from benchmarks.targets import outcomes

ROWS = 1_000
FACTS = {"files": 8, "bytes": 2**20, "model_bytes": 2**20, "rows": ROWS}


def _record(name: str, seconds: dict[str, float], *, features: int = 30, scale: float = 1.0) -> dict[str, Any]:
    """A record of one round, in which a quarter of the rows took a quarter of the time."""
    runs = [
        Run(
            engine=engine,
            round=0,
            place=0,
            cost=Cost(seconds=each * rows / ROWS, cpu_seconds=1, other_cpu_seconds=0),
            rows=rows,
        )
        for engine, each in seconds.items()
        for rows in (ROWS // 4, ROWS)
    ]
    return {
        "workload": FACTS | {"title": f"title of {name}", "features": features},
        "started_at": "2026-01-02T03:04:05+00:00",
        "settings": {"scale": scale},
        "machine": {"cpu": "a processor"},
        "versions": {"pyspark": "4.2.0"},
        "left_out": {},
        "noisy": 0,
        "runs": [asdict(run) for run in runs],
        "summary": [asdict(line) for line in summarise(runs, rows=ROWS, base="spark_infer")],
        "outcomes": [asdict(one) | {"is_met": one.is_met} for one in outcomes(name, runs, ROWS)],
    }


ALL_MET = {"spark_infer": 1.0, "mlflow spark_udf": 12.0, "Daft": 6.0, "limit (no Spark)": 0.9}


def _write(folder: Path, *records: tuple[str, dict[str, Any]]) -> None:
    folder.mkdir()
    for name, record in records:
        (folder / f"{name}.json").write_text(json.dumps(record))


def test_a_page_without_misses_says_so() -> None:
    assert "All targets are met." in targets({"W1": _record("W1", ALL_MET)})


def test_each_missed_target_is_said_in_a_sentence() -> None:
    text = targets({"W1": _record("W1", ALL_MET | {"Daft": 0.5})})
    assert "- W1: 0.50 x as fast as Daft; the target against best of Ray Data and Daft is 5 x" in text
    assert "**missed** 0.50 [0.50..0.50] (>= 5)" in text
    assert "All targets" not in text


def test_a_missed_target_is_told_beside_what_the_model_alone_would_reach() -> None:
    text = targets({"W1": _record("W1", ALL_MET | {"Daft": 2.0, "model alone": 0.8})})
    (line,) = [line for line in text.splitlines() if line.startswith("- W1")]
    assert line.startswith("- W1: 2.00 x as fast as Daft;")
    assert line.endswith("alone, on arrays in memory, are 2.50 x as fast")


def test_a_compiled_model_has_a_line_of_its_own() -> None:
    text = targets({"W5": _record("W5", ALL_MET | {"spark_infer, compiled": 0.5}), "W1": _record("W1", ALL_MET)})
    line = next(line for line in text.splitlines() if line.startswith("| W5 with `compile: onnx` "))
    assert "24.00 [24.00..24.00] (>= 3)" in line
    assert text.count("compile: onnx") == 1


def test_a_target_nobody_was_timed_for_is_missed_not_met() -> None:
    only_ours = {"spark_infer": 1.0}
    text = targets({"W1": _record("W1", only_ours)})
    assert text.count("nothing was timed of") == 3


def test_workloads_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    _write(tmp_path / "suite", *((name, _record(name, ALL_MET)) for name in ("W9", "W0-20", "W1", "W0-5")))
    assert list(read_records(tmp_path / "suite")) == ["W0-5", "W0-20", "W1", "W9"]


def test_the_page_has_the_table_the_plot_and_what_each_row_and_cell_costs(tmp_path: Path) -> None:
    # 1000 rows in x seconds: x ms a row. One column 2 ms, 21 columns 4 ms: 1.9 ms a row and 0.1 ms a cell.
    narrow, wide = (
        _record("W0-1", {"spark_infer": 2.0}, features=1),
        _record("W0-21", {"spark_infer": 4.0}, features=21),
    )
    _write(tmp_path / "suite", ("W0-1", narrow), ("W0-21", wide), ("W1", _record("W1", ALL_MET)))
    text = write_page(tmp_path, "suite").read_text()
    assert "| spark_infer | 1,900,000 | 100,000.0 |" in text
    assert "| mlflow spark_udf | 1 | 12.00 |" in text
    assert "suite.svg" in text
    ElementTree.fromstring((tmp_path / "suite.svg").read_text())


def test_a_trial_is_told_from_a_measurement(tmp_path: Path) -> None:
    _write(tmp_path / "suite", ("W1", _record("W1", ALL_MET, scale=0.01)))
    assert "A trial" in write_page(tmp_path, "suite").read_text()


def test_an_engine_that_was_left_out_is_named_with_the_reason(tmp_path: Path) -> None:
    record = _record("W1", ALL_MET) | {"left_out": {"Ray Data": "Traceback\nValueError: no"}}
    _write(tmp_path / "suite", ("W1", record))
    assert "- left out: Ray Data: ValueError: no" in write_page(tmp_path, "suite").read_text()


def test_a_section_replaces_what_stood_between_the_marks() -> None:
    text = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    assert put_into(text, "new") == f"before\n{BEGIN}\nnew\n{END}\nafter\n"


def test_a_file_without_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="no place"):
        put_into("text", "new")


def test_workloads_that_were_measured_on_several_commits_name_them_all(tmp_path: Path) -> None:
    records = {name: _record(name, ALL_MET) for name in ("W1", "W2", "W3")}
    for name, commit in (("W1", "aaa"), ("W2", "bbb"), ("W3", "aaa")):
        records[name]["versions"] = {"commit": commit}
    _write(tmp_path / "suite", *records.items())
    assert "commit aaa and bbb." in write_page(tmp_path, "suite").read_text()
