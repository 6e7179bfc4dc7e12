from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from spark_infer.cli.output import _STYLES, _painted
from spark_infer.errors import EnvironmentProblem, ModelNotFoundError, WriteError

from .conftest import Stage

Command = Callable[..., Result]


def test_run_prints_the_report_and_keeps_progress_off_stdout(command: Command, stage: Stage, job_file: Path) -> None:
    result = command("run", job_file)
    assert result.exit_code == 0
    assert result.stdout.startswith("nightly: 10 rows scored in 2.00 s\n\n  model   m version 7 (models:/m@best)\n")
    assert result.stderr.splitlines() == [
        "starting Spark, checking model and tables",
        "scoring: 50%, 1 of 2 tasks, about 5 rows, 5 rows/s, 1 s left",
    ]


def test_a_new_run_is_begun_only_on_request(command: Command, stage: Stage, job_file: Path) -> None:
    command("run", job_file)
    command("run", job_file, "--new-run")
    assert stage.new_runs == [False, True]


def test_a_run_to_score_again_is_named_only_beside_what_scores_again(
    command: Command, stage: Stage, job_file: Path
) -> None:
    done = command("run", job_file, "--run-id", "c7ce")
    assert (done.exit_code, stage.started) == (2, [])
    assert "give --quarantined too" in done.stderr


def test_run_gives_the_session_its_name_settings_and_log(command: Command, stage: Stage, job_file: Path) -> None:
    command("run", job_file, "--set", "spark.master=local[3]", "--set", "target.mode=append")
    (started,) = stage.started
    assert (started["app_name"], started["config"].master, started["delta_conf"]) == ("nightly", "local[3]", {})
    assert started["log_file"].is_file()
    assert stage.config is not None
    assert stage.config.target.mode == "append"
    assert stage.stopped == 1


def test_a_model_that_is_not_there_is_refused_before_spark_starts(
    command: Command, stage: Stage, job_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(config: object) -> None:
        raise ModelNotFoundError("There is no such model.")

    monkeypatch.setattr("spark_infer.job.session.find_model", missing)
    for name in ("run", "plan"):
        result = command(name, job_file)
        assert (result.exit_code, stage.started) == (2, [])
        assert result.stderr.startswith("refused: There is no such model.\n")


def test_a_jvm_starts_while_the_model_is_looked_for(
    command: Command, stage: Stage, job_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    monkeypatch.setattr(
        "spark_infer.job.session.find_model", lambda config: seen.append((stage.jvm_started.wait(10), [*stage.started]))
    )
    assert command("plan", job_file).exit_code == 0
    assert seen == [(True, [])]
    assert len(stage.started) == 1


def test_a_session_that_ran_before_is_not_stopped(command: Command, stage: Stage, job_file: Path) -> None:
    stage.runs_before = True
    assert command("run", job_file).exit_code == 0
    stage.fails = WriteError("the disk is full")
    assert command("run", job_file).exit_code == 4
    assert stage.stopped == 0


def test_json_is_alone_on_stdout_and_nothing_else_is_said(command: Command, stage: Stage, job_file: Path) -> None:
    result = command("run", job_file, "--json")
    facts = json.loads(result.stdout)
    assert (facts["rows_scored"], facts["model_version"], facts["rows_per_second"]) == (10, "7", 10.0)
    assert result.stderr == ""


def test_a_wrong_job_file_is_refused_before_spark_starts(command: Command, stage: Stage, job_file: Path) -> None:
    job_file.write_text(job_file.read_text() + "scores: {batch_size: 5}\n")
    result = command("run", job_file)
    assert result.exit_code == 2
    assert result.stderr.splitlines() == [
        f"refused: {job_file}:5: unknown key 'scores' (did you mean 'score'?)",
        "Next: Correct the job file; `python -m spark_infer.config.reference` lists every key.",
    ]
    assert stage.started == []


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (
            ModelNotFoundError("no model 'm'", details=["there is: n"], next_step="Name one."),
            2,
            "refused: no model 'm'",
        ),
        (EnvironmentProblem("no Java"), 3, "refused: no Java"),
        (WriteError("the disk is full"), 4, "failed: the disk is full"),
        (ZeroDivisionError("division by zero"), 1, "unexpected: ZeroDivisionError: division by zero"),
        (KeyboardInterrupt(), 130, "interrupted: stopped by Ctrl-C"),
    ],
)
def test_each_kind_of_error_has_its_exit_code_and_no_traceback(
    command: Command, stage: Stage, job_file: Path, error: BaseException, code: int, said: str
) -> None:
    stage.fails = error
    result = command("run", job_file, "--log-file", job_file.parent / "my.log")
    assert result.exit_code == code
    assert said in result.stderr.splitlines()
    assert f"Log: {job_file.parent / 'my.log'}" in result.stderr.splitlines()
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    assert stage.stopped == 1


def test_an_error_is_one_json_object_on_stderr(command: Command, stage: Stage, job_file: Path) -> None:
    stage.fails = ModelNotFoundError("no model 'm'", details=["there is: n"], next_step="Name one.")
    result = command("run", job_file, "--json", "--log-file", job_file.parent / "my.log")
    assert result.stdout == ""
    assert json.loads(result.stderr) == {
        "error": "ModelNotFoundError",
        "kind": "refused",
        "exit_code": 2,
        "what": "no model 'm'",
        "details": ["there is: n"],
        "next_step": "Name one.",
        "log_file": str(job_file.parent / "my.log"),
    }


def test_the_traceback_is_there_for_those_who_ask(command: Command, stage: Stage, job_file: Path) -> None:
    stage.fails = WriteError("the disk is full")
    result = command("run", job_file, "--traceback")
    assert "Traceback (most recent call last)" in result.stderr
    assert "failed: the disk is full" in result.stderr


def test_an_unexpected_error_leaves_its_traceback_in_the_log(command: Command, stage: Stage, job_file: Path) -> None:
    stage.fails = ZeroDivisionError("division by zero")
    result = command("run", job_file, "--log-file", job_file.parent / "my.log")
    assert "Traceback" in (job_file.parent / "my.log").read_text()
    assert "--traceback" in result.stderr


def test_of_an_unexpected_error_of_spark_only_its_class_is_shown(
    command: Command, stage: Stage, job_file: Path
) -> None:
    stage.fails = RuntimeError("[CAST_INVALID_INPUT] The value 'secret row' cannot be cast")
    result = command("run", job_file)
    assert "unexpected: RuntimeError: [CAST_INVALID_INPUT]\n" in result.stderr
    assert "secret row" not in result.stderr


@pytest.mark.parametrize("options", [(), ("--json",), ("--traceback",), ("--json", "--traceback")])
@pytest.mark.parametrize("verb", ["run", "plan"])
def test_no_error_shows_a_secret_of_the_job(
    command: Command,
    stage: Stage,
    job_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    verb: str,
    options: tuple[str, ...],
) -> None:
    monkeypatch.setenv("BUCKET", "s3://tr0ub4dor")
    job_file.write_text(job_file.read_text().replace("path: in", "path: '${secret:BUCKET}/in'"))
    stage.fails = WriteError("s3://tr0ub4dor/in is gone", details=["'s3://tr0ub4dor'", "https://u:tr0ub4dor@h/x"])
    result = command(verb, job_file, *options)
    assert "${secret:BUCKET}" in result.stderr
    assert "tr0ub4dor" not in result.stdout + result.stderr
    assert stage.config is not None
    assert stage.config.source.path == "s3://tr0ub4dor/in"


def test_a_log_file_that_cannot_be_written_is_refused(command: Command, stage: Stage, job_file: Path) -> None:
    result = command("run", job_file, "--log-file", job_file / "x.log")
    assert result.exit_code == 3
    assert "Next: Name another with --log-file." in result.stderr
    assert stage.started == []


def test_the_log_goes_to_the_state_folder_of_the_user(command: Command, stage: Stage, job_file: Path) -> None:
    command("run", job_file)
    (log,) = (job_file.parent / "state/spark_infer/logs").iterdir()
    assert log.name.startswith("nightly-")


def test_a_report_in_a_terminal_without_block_letters_is_plain_text(job_file: Path) -> None:
    script = """
        from spark_infer.cli.output import Output
        Output().result("title é…\\n  plan  1 s  ███", {})
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        env={"PYTHONIOENCODING": "ascii", "PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True,
        check=True,
    )
    assert done.stdout == b"title ?...\n  plan  1 s  ###\n"


def test_colours_change_nothing_but_colours() -> None:
    text = "job: done\n\n  model   m\n  backend sklearn\n\ntime\n  score and write     1 s  ██\n  ! a [bold] warning"
    painted = _painted(text, _STYLES)
    assert painted.plain == text
    styled = {(painted.plain[span.start : span.end].strip(), span.style) for span in painted.spans}
    assert styled == {
        ("job: done", "bold"),
        ("time", "bold"),
        ("model", "cyan"),
        ("backend", "cyan"),
        ("score and write", "cyan"),
        ("██", "green"),
        ("! a [bold] warning", "yellow"),
    }


def test_ctrl_c_stops_the_session_and_exits_with_130(job_file: Path) -> None:
    script = f"""
        import signal, sys, time, types
        import spark_infer

        # A script's background job inherits that Ctrl-C is ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)

        class Session:
            def stop(self):
                print("stopped", flush=True)

        class Engine:
            def __init__(self, session, resources):
                session.result()

        def run_job(job, on_progress=None):
            print("running", flush=True, file=sys.stderr)
            time.sleep(60)

        def stand_in(module, **names):
            sys.modules[module] = types.SimpleNamespace(**names)

        stand_in("spark_infer.spark.session", start_session=lambda *_, **__: Session(), has_session=lambda: False)
        stand_in("spark_infer.engines.spark.engine", SparkEngine=Engine)
        stand_in("spark_infer.job.prepare", prepare_job=lambda engine, config, new_run: config)
        stand_in("spark_infer.job.run", run_job=run_job)
        import spark_infer.job.session
        spark_infer.job.session.find_model = lambda config: None
        from spark_infer.cli.main import app
        app(["run", {str(job_file)!r}, "--log-file", {str(job_file.parent / "my.log")!r}])
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        env={"PYTHONPATH": str(Path(__file__).parents[3])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        try:
            assert running.stderr is not None
            assert any(line == "running\n" for line in iter(running.stderr.readline, ""))
            running.send_signal(signal.SIGINT)
            out, err = running.communicate(timeout=30)  # it sleeps for a minute
        finally:
            running.kill()
    assert (running.returncode, out) == (130, "stopped\n")
    assert "interrupted: stopped by Ctrl-C" in err
    assert "Traceback" not in err
