"""An append that would add again what an earlier run of the job has added is refused, and the ways out work."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

from spark_infer.config.load import load_job
from spark_infer.errors import TargetError
from spark_infer.job.scoring import ScoringJob
from spark_infer.job.units.fingerprint import FILES, SECRETS
from spark_infer.job.units.run_plan import RunPlan
from spark_infer.runtime.failpoints import InjectedError
from tests.line import save_light_line
from tests.local.eight import EACH
from tests.local.jobs import job, read
from tests.pairwise import pairwise

pytestmark = pytest.mark.usefixtures("in_this_process")

REFUSED = "This job has put 4 rows into the target before"


def add_day(folder: Path, kind: str, day: int) -> None:
    """Two rows: ids 2 day and 2 day + 1."""
    rows = pa.table({"id": [2 * day, 2 * day + 1], "x": [day / 1, day + 0.5], "day": [day, day]})
    if kind == "delta":
        write_deltalake(folder, rows, mode="append", partition_by=["day"])
    else:
        (folder / f"day={day}").mkdir(parents=True)
        pq.write_table(rows.drop_columns("day"), folder / f"day={day}" / "a.parquet")


def ids(folder: Path) -> list[int]:
    return [row["id"] for row in read(folder)]


@pytest.mark.parametrize(("first_mode", "kind"), pairwise(["append", "error_if_exists"], ["delta", "parquet"]))
def test_a_source_that_has_grown_is_not_appended_again(line: str, tmp_path: Path, kind: str, first_mode: str) -> None:
    source, target = tmp_path / "in", {"path": str(tmp_path / "out"), "format": kind, "mode": "append"}
    for day in (0, 1):
        add_day(source, kind, day)
    job(line, {"path": str(source)}, {**target, "mode": first_mode}).run()
    add_day(source, kind, 2)
    again = job(line, {"path": str(source)}, target)
    for refused in (again.plan, again.run):
        with pytest.raises(TargetError, match=REFUSED) as told:
            refused()
        text = str(told.value)
        assert "source version: " in text
        ways_out = (
            "source.where",
            "source.partition_filter",
            "merge",
            "overwrite_partitions",
            "--new-run (new_run=True)",
        )
        for way_out in ways_out:
            assert way_out in text
        assert ids(tmp_path / "out") == [0, 1, 2, 3]
    for old in ({"partition_filter": {"day": [1]}}, {"partition_filter": {"day": [1]}, "where": "id > 2"}):
        with pytest.raises(TargetError, match=REFUSED):  # these files were read before
            job(line, {"path": str(source), **old}, target).run()
    by_filter = job(line, {"path": str(source), "partition_filter": {"day": [2]}}, target)
    by_filter.run()
    with pytest.raises(TargetError, match="This job has put 2 rows"):
        job(line, {"path": str(source), "partition_filter": {"DAY": [2]}}, target).run()
    assert by_filter.run().already_done
    assert ids(tmp_path / "out") == [0, 1, 2, 3, 4, 5]
    add_day(source, kind, 3)
    with pytest.raises(TargetError, match="This job has put 2 rows"):  # day 2 is there
        job(line, {"path": str(source), "partition_filter": {"day": [2, 3]}}, target).run()
    if kind == "parquet":  # the files of day 2 are the same; of a Delta table, only the version is known
        assert by_filter.run().already_done
    else:
        with pytest.raises(TargetError, match="This job has put 2 rows"):
            by_filter.run()
    job(line, {"path": str(source), "where": "id > 5 AND x >= 0"}, target).run()
    add_day(source, kind, 4)
    with pytest.raises(TargetError, match="This job has put 2 rows"):  # the same condition in another spelling
        job(line, {"path": str(source), "where": "id>5  and x>=0"}, target).run()
    with pytest.raises(TargetError, match="This job has put 2 rows"):
        again.run()
    assert ids(tmp_path / "out") == list(range(8))
    again.run(new_run=True)
    assert ids(tmp_path / "out") == sorted([*range(8), *range(10)])
    assert again.run().already_done


def test_another_model_or_setting_does_not_append_the_same_rows_again(line: str, files: Path, tmp_path: Path) -> None:
    source, target = {"path": str(files)}, {"path": str(tmp_path / "out"), "mode": "append"}
    job(line, source, target).run()
    other = save_light_line(tmp_path / "other", slope=3.0)
    changes: dict[str, dict[str, Any]] = {
        "model digest: ": {"model": {"uri": other}},
        "target settings, keep: ": {"target": {**target, "keep": ["id"]}},
        "where: nothing then": {"source": {**source, "where": "id > 100"}},  # a part of what was read whole
    }
    for change, keys in changes.items():
        given = {"source": source, "target": target, **keys}
        with pytest.raises(TargetError, match="160 rows into the target before") as told:
            job(keys.get("model", {"uri": line})["uri"], given["source"], given["target"]).run()
        assert change in str(told.value)
    job(other, source, target, name="challenger").run()
    assert len(read(tmp_path / "out")) == 320


def test_rows_that_the_target_no_longer_holds_may_be_appended(line: str, tmp_path: Path) -> None:
    for kind in ("delta", "parquet"):
        source, out = tmp_path / f"{kind}-in", tmp_path / kind
        add_day(source, kind, 0)
        grown = job(line, {"path": str(source)}, {"path": str(out), "format": kind, "mode": "append"})
        grown.run()
        add_day(source, kind, 1)
        with pytest.raises(TargetError, match="This job has put 2 rows"):
            grown.run()
        shutil.rmtree(out)
        assert grown.run().rows_scored == 4
        add_day(source, kind, 2)
        other = job(line, {"path": str(source)}, {"path": str(out), "format": kind, "mode": "overwrite"}, name="other")
        other.run()
        assert grown.run().rows_scored == 6
        assert ids(out) == sorted([*range(6)] * 2)


def test_a_source_without_new_rows_is_refused_too_and_a_run_without_rows_does_not_count(
    line: str, tmp_path: Path
) -> None:
    source, target = (
        {"path": str(tmp_path / "in")},
        {"path": str(tmp_path / "out"), "format": "delta", "mode": "append"},
    )
    add_day(tmp_path / "in", "delta", 0)
    none = job(line, {**source, "where": "id > 5"}, target)
    assert none.run().rows_scored == 0
    add_day(tmp_path / "in", "delta", 0)
    assert none.run().rows_scored == 0
    job(line, source, target).run()
    DeltaTable(tmp_path / "in").optimize.compact()
    with pytest.raises(TargetError, match=r"source version: version 1 of .* then, version 2"):
        job(line, source, target).run()


def test_a_new_run_that_is_killed_goes_on_without_being_requested_again(
    line: str, files: Path, tmp_path: Path, breaks: Callable[[str], None]
) -> None:
    source, target = {"path": str(files)}, {"path": str(tmp_path / "out"), "format": "delta", "mode": "append"}
    job(line, source, target).run()
    pq.write_table(pa.table({"id": [160], "x": [1.0], "part": [0]}), files / "8.parquet")
    again = job(line, source, target, **EACH)
    breaks("sealed:4:raise")
    with pytest.raises(InjectedError):
        again.run(new_run=True)
    breaks("")
    report = again.run()
    assert (report.units_before > 0, report.rows_scored) == (True, 161)
    assert len(read(tmp_path / "out")) == 321


@pytest.mark.parametrize("reference", ["${DAY}", "${secret:DAY}"])
def test_a_condition_from_the_environment_selects_new_rows_when_its_value_changes(
    line: str, tmp_path: Path, reference: str
) -> None:
    first, second = 20260101, 20260102
    add_day(tmp_path / "in", "parquet", first)
    add_day(tmp_path / "in", "parquet", second)
    (tmp_path / "job.yaml").write_text(
        f"model: {line}\nengine: local\nsource: {{path: {tmp_path / 'in'}, where: 'day = {reference}'}}\n"
        f"target: {{path: {tmp_path / 'out'}, mode: append}}\n"
    )

    def nightly(day: int) -> ScoringJob:
        return ScoringJob(load_job(tmp_path / "job.yaml", environ={"DAY": str(day)}))

    nightly(first).run()
    add_day(tmp_path / "in", "parquet", second + 1)
    nightly(second).run()
    assert ids(tmp_path / "out") == [2 * first, 2 * first + 1, 2 * second, 2 * second + 1]
    with pytest.raises(TargetError, match="This job has put 2 rows"):
        nightly(first).run()
    account = "".join(path.read_text() for path in (tmp_path / ".out.spark_infer").rglob("*.json"))
    secret = reference == "${secret:DAY}"
    assert ("day = ${secret:DAY}" in account) is secret
    assert (f"day = {first}" in account) is not secret
    assert not secret or str(first) not in account


def test_runs_of_a_version_that_kept_values_of_variables_as_digests_are_recognised(line: str, tmp_path: Path) -> None:
    add_day(tmp_path / "in", "parquet", 1)
    source, target = (
        {"path": str(tmp_path / "in"), "where": "id < 9"},
        {"path": str(tmp_path / "out"), "mode": "append"},
    )
    job(line, source, target).run()
    (plan,) = (tmp_path / ".out.spark_infer").rglob("plan.json")
    kept = RunPlan.from_json(plan.read_bytes(), str(plan))
    digest = hashlib.sha256(json.dumps("id < 9").encode()).hexdigest()
    facts = {name: fact for name, fact in kept.facts.items() if name != SECRETS}
    old = {**facts, "where": "id < ${MOST}", "of the environment": {"where": digest}}
    plan.write_bytes(replace(kept, facts=old).to_json())
    with pytest.raises(TargetError, match="This job has put"):
        job(line, source, target).run()


def test_a_secret_that_stands_among_the_digits_of_digests_hides_no_file(line: str, tmp_path: Path) -> None:
    for day in range(6):
        add_day(tmp_path / "in", "parquet", day)
    job(line, {"path": str(tmp_path / "in")}, {"path": str(tmp_path / "other")}).run()
    (plan,) = (tmp_path / ".other.spark_infer").rglob("plan.json")
    year = re.search("[1-9][0-9]{3}", RunPlan.from_json(plan.read_bytes(), str(plan)).facts[FILES])
    assert year

    def of_days(partition_filter: str) -> ScoringJob:
        (tmp_path / "job.yaml").write_text(
            f"model: {line}\nengine: local\n"
            f"source: {{path: {tmp_path / 'in'}, where: 'id <> ${{secret:YEAR}}', "
            f"partition_filter: {partition_filter}}}\n"
            f"target: {{path: {tmp_path / 'out'}, mode: append}}\n"
        )
        return ScoringJob(load_job(tmp_path / "job.yaml", environ={"YEAR": year[0]}))

    of_days("{}").run()
    add_day(tmp_path / "in", "parquet", 6)
    for day in range(6):  # only the files say that these rows are in the target
        with pytest.raises(TargetError, match="This job has put 12 rows"):
            of_days(f"{{day: [{day}]}}").plan()
    assert of_days("{day: [6]}").run().rows_scored == 2
