"""Engine `local`: the job in processes of this machine, with no Java and no session."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import date, datetime
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake
from mlflow.models import infer_signature
from mlflow.pyfunc.model import PythonModel

from spark_infer import Report, ScoringJob, score_table
from spark_infer.errors import (
    ConfigError,
    DeadlineError,
    PlanError,
    PredictError,
    ResourcesError,
    SchemaMismatchError,
    SourceError,
    WorkerLostError,
)
from spark_infer.job.__main__ import SCRIPT
from spark_infer.job.__main__ import main as job_entry
from spark_infer.job.units.history import history
from spark_infer.observe.progress import Progress
from spark_infer.tables.local_tables import LocalTables
from tests.here import no_processes
from tests.local.conftest import ROWS, children
from tests.local.jobs import job, read, run, write_in


@pytest.mark.parametrize("kind", [pytest.param("parquet", marks=pytest.mark.soak), "delta"])
def test_a_table_is_scored_without_java(row_by_row: str, source: Path, tmp_path: Path, kind: str) -> None:
    line = row_by_row  # of scikit-learn, as most models are
    program = (
        "import sys\n"
        "from spark_infer import score_table\n"
        "model, source, target, kind = sys.argv[1:]\n"
        "print(score_table(source=source, target={'path': target, 'format': kind}, model=model, engine='local'))\n"
    )
    environ = {**os.environ, "JAVA_HOME": "/nonexistent", "PATH": "/nonexistent"}
    command = [sys.executable, "-c", program, line, str(source), str(tmp_path / "out"), kind]
    if kind == "delta":  # by the job entry, as spark-submit runs it
        job_file = tmp_path / "job.yaml"
        job_file.write_text(f"model: {line}\nsource: {source}\ntarget: {{path: {tmp_path}/nix, format: delta}}\n")
        command = [sys.executable, str(SCRIPT), str(job_file), "--set", "engine=local"]
        command += ["--set", f"target.path={tmp_path}/out"]
        (tmp_path / "pyarrow.py").write_text("raise SystemExit('a file of the current folder was imported')")
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "1,000 rows scored" in done.stdout
    rows = read(tmp_path / "out")
    assert [row["id"] for row in rows] == list(range(ROWS))
    assert [row["prediction"] for row in rows] == pytest.approx([row["id"] / 2 for row in rows])
    assert {int(row["part"]) for row in rows} == {0, 1, 2, 3}


def test_the_job_entry_has_the_exit_codes_of_the_command(
    line: str, source: Path, tmp_path: Path, in_this_process: None, capsys: pytest.CaptureFixture[str]
) -> None:
    job_file = tmp_path / "job.yaml"
    job_file.write_text(f"engine: local\nmodel: {line}\nsource: {source}\ntarget: {tmp_path}/out\n")
    assert [job_entry([str(job_file)]), job_entry([str(tmp_path / "nix.yaml")])] == [0, 2]
    shown = capsys.readouterr()
    assert "1,000 rows scored" in shown.out
    assert shown.err.startswith("refused: there is no job file")
    assert job_entry([str(job_file), "--set", "target.mode=overwrite", "--set", "score.preprocess=nosuch:step"]) == 2


def test_a_column_that_cannot_be_read_matters_only_where_it_is_wanted(
    line: str, tmp_path: Path, in_this_process: None
) -> None:
    (tmp_path / "in").mkdir()
    odd = {
        "ns": pa.array([1000], pa.timestamp("ns")),
        "uuid": pa.array([b"0123456789abcdef"], pa.uuid()),
        "half": pa.array([1.5], pa.float16()),
        "none": pa.nulls(1),
        "time": pa.array([1], pa.time64("us")),
        "digits": pa.array([1], pa.decimal256(40, 0)),
    }
    pq.write_table(pa.table({"id": [1], "x": [0.5], **odd}), tmp_path / "in" / "a.parquet")
    source = {"path": str(tmp_path / "in")}
    run(line, source, {"path": str(tmp_path / "few"), "keep": ["id"]})
    assert [row["id"] for row in read(tmp_path / "few")] == [1]
    with pytest.raises(
        SchemaMismatchError, match=r"(?s)'time' is INT64 TIME.*'digits' is .*DECIMAL\(40,0\)"
    ) as refused:
        run(line, source, {"path": str(tmp_path / "all")})
    assert "engine: spark" not in str(refused.value)
    run(line, source, {"path": str(tmp_path / "out"), "keep": ["id", "ns", "uuid", "half", "none"]})
    (row,) = read(tmp_path / "out")
    assert (row["ns"], row["uuid"], row["half"], row["none"]) == (
        datetime(1970, 1, 1, microsecond=1),
        b"0123456789abcdef",
        1.5,
        None,
    )


def test_the_plan_and_the_report_say_who_does_the_work(line: str, source: Path, tmp_path: Path) -> None:
    prepared = job(line, {"path": str(source)}, {"path": str(tmp_path / "out")})
    told = str(prepared.plan())
    assert "direct: workers read the source and write the target" in told
    assert "by processes of this machine" in told
    assert "each a process of this machine with 1 core" in told
    assert not (tmp_path / "out").exists()
    seen: list[Progress] = []
    report = prepared.run(on_progress=seen.append)
    assert (report.rows_read, report.rows_scored) == (ROWS, ROWS)
    assert 1 <= report.workers <= len(os.sched_getaffinity(0))
    assert report.loads == report.workers
    assert report.task_seconds["write"] > 0
    assert sorted({each.tasks_done for each in seen}) == list(range(seen[-1].tasks_total + 1))
    assert (seen[-1].units_done, seen[-1].units_total) == (1, 1)
    assert not children()


@pytest.mark.usefixtures("in_this_process")
def test_a_condition_and_a_partition_filter_leave_the_rows_that_meet_them(
    line: str, source: Path, tmp_path: Path
) -> None:
    wanted = {"path": str(source), "partition_filter": {"part": [1, 3]}, "where": "id >= 500 AND x < 200"}
    report = run(line, wanted, {"path": str(tmp_path / "out")})
    assert [row["id"] for row in read(tmp_path / "out")] == list(range(501, 800, 2))
    assert report.rows_scored == 150


def str_source(source: Path) -> dict[str, str]:
    return {"path": str(source)}


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.filterwarnings("ignore")
def test_an_optional_column_that_is_misspelt_is_a_warning_of_plan_and_run_and_an_error_where_it_is_needed(
    source: Path, tmp_path: Path
) -> None:
    rows = pd.DataFrame({"x": [1.0, None, 3.0], "PART": [0.0, None, 1.0]})

    class Careless(PythonModel):
        def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> Any:
            return model_input["x"] + model_input.get("PART", 0.0)

    class Careful(PythonModel):
        def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> Any:
            return model_input["x"] + model_input["PART"]

    for model in (Careless(), Careful()):
        mlflow.pyfunc.save_model(
            tmp_path / type(model).__name__,
            python_model=model,
            signature=infer_signature(rows, rows["x"].rename("y")),
            pip_requirements=["pandas"],
        )
    target = {"path": str(tmp_path / "out")}
    scoring = job(str(tmp_path / "Careless"), {"path": str(source)}, target)
    warning = (
        "column 'PART', which the signature calls optional, is not in the table (did you mean 'part'?): the model goes "
        "without it"
    )
    assert warning in scoring.plan().warnings
    assert warning in scoring.run().warnings
    with pytest.raises(SchemaMismatchError, match=r"'PART' \(double\) is missing \(did you mean 'part'\?\)"):
        job(str(tmp_path / "Careful"), {"path": str(source)}, target).plan()


@pytest.mark.usefixtures("in_this_process")
def test_a_version_of_a_delta_table_is_read(line: str, tmp_path: Path) -> None:
    for start in (0, 10, 20):
        rows = pa.table({"id": np.arange(start, start + 10), "x": np.arange(start, start + 10) / 4})
        write_deltalake(tmp_path / "in", rows, mode="append")
    report = run(line, {"path": str(tmp_path / "in"), "version": 1}, {"path": str(tmp_path / "out")})
    assert (report.source_version, report.rows_scored) == (1, 20)
    with pytest.raises(SourceError, match="has no version 9"):
        run(line, {"path": str(tmp_path / "in"), "version": 9}, {"path": str(tmp_path / "none")})


@pytest.mark.usefixtures("in_this_process")
def test_a_table_without_rows_gives_a_table_without_rows(line: str, tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": pa.array([], pa.int64()), "x": pa.array([], pa.float64())}), tmp_path / "in.parquet")
    (tmp_path / "in").mkdir()
    (tmp_path / "in.parquet").rename(tmp_path / "in" / "a.parquet")
    pq.write_to_dataset(pa.table({"id": [1], "x": [1.0], "p": ["a"]}), tmp_path / "one", partition_cols=["p"])
    for kind in ("parquet", "delta"):
        report = run(line, {"path": str(tmp_path / "in")}, {"path": str(tmp_path / kind), "format": kind})
        assert (report.rows_scored, report.warnings) == (0, ("no row of the source is scored",))
        # A source of which no file is read has no task at all.
        nothing = {"path": str(tmp_path / "one"), "partition_filter": {"p": ["b"]}}
        report = run(line, nothing, {"path": str(tmp_path / f"{kind}-of-nothing"), "format": kind})
        assert (report.rows_scored, report.warnings) == (0, ("no row of the source is scored; p in ['b']",))
        assert read(tmp_path / kind) == []
    assert ds.dataset(tmp_path / "parquet").schema.names == [
        "id",
        "x",
        "prediction",
        "model_name",
        "model_version",
        "scored_at",
    ]


@pytest.mark.parametrize(
    ("kind", "value", "error", "words"),
    [
        ("parquet", 500.0, PredictError, "raised on a batch"),
        ("delta", 700.0, WorkerLostError, "died with exit status -9"),
    ],
)
def test_a_failure_leaves_the_target_as_it_was_and_no_process(
    moody: str, tmp_path: Path, kind: str, value: float, error: type[Exception], words: str
) -> None:
    source = write_in(tmp_path, [1.0, 2.0, 3.0, 4.0])
    target = {"path": str(tmp_path / "out"), "format": kind}
    with no_processes():
        run(moody, source, target)
    before = sorted(path for path in (tmp_path / "out").rglob("*") if path.is_file())
    pq.write_table(pa.table({"id": [9], "x": [value]}), tmp_path / "in" / "9.parquet")
    with pytest.raises(error, match=words) as caught:
        run(moody, source, {**target, "mode": "append"}, name="again")
    assert "500 is in the batch" not in str(caught.value)
    assert sorted(path for path in (tmp_path / "out").rglob("*") if path.is_file()) == before
    assert {path.name for path in tmp_path.iterdir()} == {"in", "out", ".out.spark_infer"}
    files = [path for path in (tmp_path / ".out.spark_infer").rglob("*") if path.is_file()]
    ledger = {path.name.split(".")[0] for path in files if path.parent.name != "ends"}
    assert ledger == {"000001", "plan", "report", "tasks"}  # whose turn it was, and none of the files that were written
    assert len([path for path in files if path.parent.name == "ends"]) == 1
    assert not children()


@pytest.mark.usefixtures("in_this_process")
def test_what_only_spark_can_do_is_refused_with_the_reason(line: str, source: Path, tmp_path: Path) -> None:
    target = {"path": str(tmp_path / "out")}
    refused: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any], str]] = [
        ({"path": str(source), "where": "id % 2 = 0"}, target, {}, "by engine `local`: it has 'mod'"),
        ({"path": str(source), "where": "idd = 2"}, target, {}, "'idd' is not a column of the table"),
        ({"table": "db.flights"}, target, {}, "Only Spark knows the catalog"),
        ({"path": str(source)}, {"table": "db.scored"}, {}, "Only Spark knows the catalog"),
        ({"path": str(source)}, {**target, "target_file_bytes": 2**20}, {}, "asks for Spark's shuffle"),
        ({"path": "hdfs:///data/flights"}, target, {}, "Only Spark knows the host of hdfs:///"),
        ({"path": str(tmp_path / "nothing")}, target, {}, "There is nothing at"),
    ]
    for its_source, its_target, more, words in refused:
        with pytest.raises(PlanError) as caught:
            run(line, its_source, its_target, **more)
        assert words in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_condition_kept_columns_signature_and_partitions_are_refused_in_one_error(
    line: str, source: Path, tmp_path: Path
) -> None:
    rows = {"path": str(source), "where": "idd > 1"}
    target = {"path": str(tmp_path / "out"), "keep": ["ids"], "partition_by": ["predictoin", "id"]}
    with pytest.raises(PlanError) as caught:
        job(line, rows, target, score={"params": {"k": 1}}).plan()
    assert (caught.value.what, caught.value.exit_code) == ("4 things do not fit.", 2)
    assert [detail for detail in caught.value.details if detail.startswith("  ")] == [
        "  where: idd > 1",
        "  columns: id, x, part",
        "  column 'ids' is kept but missing (did you mean 'id'?)",
        "  params.k is not a parameter of the model",
        "  there is no column 'predictoin' (did you mean 'prediction'?)",
    ]
    assert not (tmp_path / "out").exists()


def test_resources_that_this_machine_has_not_are_refused(line: str, source: Path, tmp_path: Path) -> None:
    target = {"path": str(tmp_path / "out")}
    with pytest.raises(ResourcesError, match="assigns no GPUs"):
        run(line, {"path": str(source)}, target, resources={"gpu": 1})
    with pytest.raises(ResourcesError, match="10000 cores"):
        run(line, {"path": str(source)}, target, resources={"cpus": 10_000})
    with pytest.raises(ConfigError, match="has no spark plane"):
        score_table(source=source, target=tmp_path / "out", model=Path(line), engine="local", plane="spark")


@pytest.mark.usefixtures("in_this_process")
def test_a_result_type_is_read_without_a_session(moody: str, tmp_path: Path) -> None:
    source = write_in(tmp_path, [1.0, 2.0])
    run(moody, source, {"path": str(tmp_path / "out")}, score={"result_type": "float"})
    assert pq.read_table(tmp_path / "out").schema.field("prediction").type == pa.float32()
    with pytest.raises(ConfigError, match="is not a type"):
        run(moody, source, {"path": str(tmp_path / "none")}, score={"result_type": "flaot"})


@pytest.mark.usefixtures("in_this_process")
def test_files_with_columns_of_their_own_are_merged_and_other_types_refused(line: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    pq.write_table(pa.table({"id": [1], "x": [0.5]}), tmp_path / "in" / "a.parquet")
    pq.write_table(pa.table({"id": [2], "x": [1.5], "more": ["new"]}), tmp_path / "in" / "b.parquet")
    run(line, {"path": str(tmp_path / "in")}, {"path": str(tmp_path / "out")})
    assert [row["more"] for row in read(tmp_path / "out")] == [None, "new"]
    pq.write_table(pa.table({"id": ["3"], "x": [1.5]}), tmp_path / "in" / "c.parquet")
    with pytest.raises(SchemaMismatchError, match="'id' is of different types in different files"):
        run(line, {"path": str(tmp_path / "in")}, {"path": str(tmp_path / "none")})


@pytest.mark.filterwarnings("ignore")
def test_a_plan_that_loads_no_model_runs_none_of_its_code_and_checks_the_rest(source: Path, tmp_path: Path) -> None:
    example = pd.DataFrame({"x": [1.0]})
    mlflow.pyfunc.save_model(
        tmp_path / "model",
        python_model=str(Path(__file__).parent / "models" / "moody.py"),
        signature=infer_signature(example, example["x"].rename("prediction")),
        pip_requirements=["pandas"],
    )
    (tmp_path / "model" / "moody.py").write_text("raise SystemExit('the code of the model runs')")
    target = {"path": str(tmp_path / "out")}
    scoring = job(str(tmp_path / "model"), {"path": str(source)}, target)
    plan = scoring.plan(load=False)
    assert sum("the model was not loaded" in warning for warning in plan.warnings) == 1
    with pytest.raises(PlanError, match="does not load"):
        scoring.plan()
    (tmp_path / "other").mkdir()
    pq.write_table(pa.table({"id": [1]}), tmp_path / "other" / "a.parquet")
    with pytest.raises(SchemaMismatchError, match=r"'x' .* is missing"):
        job(str(tmp_path / "model"), {"path": str(tmp_path / "other")}, target).plan(load=False)


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.filterwarnings("ignore")
def test_a_job_file_configures_its_model_and_the_token_that_it_gives_is_written_nowhere(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = "4f1c-of-the-night"
    example = pd.DataFrame({"x": [1.0]})
    mlflow.pyfunc.save_model(
        tmp_path / "model",
        python_model=str(Path(__file__).parent / "models" / "says.py"),
        signature=infer_signature(example, ["text"], params={"api_key": "none", "scale": 2.0}),
        model_config={"alpha": 1},
        pip_requirements=["pandas==98.7"],
    )
    (tmp_path / "job.yaml").write_text(
        f"model: {tmp_path / 'model'}\nsource: {source}\ntarget: {tmp_path / 'out'}\nengine: local\n"
        "score:\n  model_config: {alpha: 7, gamma: 8}\n  extra_env: {SPARK_INFER_TEST_TOKEN: 4f1c-of-the-night}\n"
        "  params: {api_key: 4f1c-of-the-night}\n"
    )
    scoring = ScoringJob.from_yaml(tmp_path / "job.yaml")
    plan, report = scoring.plan(), scoring.run()
    assert {row["prediction"] for row in read(tmp_path / "out")} == {f"7 {len(token)} True"}
    for shown in (plan, report):
        assert sum("does not take gamma" in warning for warning in shown.warnings) == 1
        assert sum("pandas==98.7 (here" in warning for warning in shown.warnings) == 1
        assert "params api_key='***', scale=2.0" in str(shown)
        assert token not in str(shown) + repr(shown) + str(shown.to_dict())
    (tmp_path / "job.yaml").unlink()
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.name for path in written} >= {"plan.json", "report.json"}
    assert not [path for path in written if token.encode() in path.read_bytes()]
    assert "SPARK_INFER_TEST_TOKEN" not in os.environ


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize("kind", ["parquet", "delta"])
def test_a_table_partition_is_named_by_a_date(line: str, tmp_path: Path, kind: str) -> None:
    days = [date(2024, 1, 31), date(2024, 2, 1), date(2024, 2, 2)]
    rows = pa.table({"id": range(3), "x": [1.0, 2.0, 3.0], "day": pa.array(days)})
    if kind == "delta":
        write_deltalake(tmp_path / "in", rows, partition_by=["day"])
    else:
        pq.write_to_dataset(rows, tmp_path / "in", partition_cols=["day"])
    source = {"path": str(tmp_path / "in"), "partition_filter": {"day": days[1:]}}
    target = {"path": str(tmp_path / "out"), "mode": "overwrite_partitions", "partitions": {"day": days[1:]}}
    scoring = job(line, {**source, "where": "x > 0"}, target)
    days_named = "table partitions with day in ['2024-02-01', '2024-02-02']"
    columns = "writes 7 columns: id, x, day, prediction, model_name, model_version, scored_at"
    plan, report = scoring.plan(), scoring.run()
    for shown, count in ((plan, 1), (report, 2), (Report.of_dict(report.to_dict()), 2)):
        assert str(shown).count(days_named) == count
        assert f"{columns}\n" in str(shown)
        assert "only rows where x > 0\n" in str(shown)
        assert list(shown.target_columns.values())[:4] == ["bigint", "double", "date", "double"]
    (state,) = history(scoring.config, LocalTables())
    assert "day in ['2024-02-01', '2024-02-02']  into day in ['2024-02-01', '2024-02-02']" in str(state)
    assert state.to_dict()["partitions"] == ["day in ['2024-02-01', '2024-02-02']"]
    assert report.rows_scored == 2
    assert [row["id"] for row in read(tmp_path / "out")] == [1, 2]


@pytest.mark.usefixtures("in_this_process")
def test_a_call_takes_the_units_and_the_deadline_of_a_job(line: str, files: Path, tmp_path: Path) -> None:
    report = score_table(
        source=files, target=tmp_path / "out", model=line, engine="local", units={"bytes": 1}, deadline_seconds=600
    )
    assert report.units > 1
    with pytest.raises(DeadlineError):
        score_table(source=files, target=tmp_path / "late", model=line, engine="local", deadline_seconds=1e-9)
