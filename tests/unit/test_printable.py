"""Names from outside reach a terminal as text: they cannot command it, forge a line, or turn text around."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from datetime import datetime, timezone
from typing import Any

import pyarrow as pa
import pytest
import typer

from spark_infer.cli.logfile import open_log
from spark_infer.cli.models import _lines as model_lines
from spark_infer.cli.output import Output
from spark_infer.core.signature import Column, Signature
from spark_infer.errors import ModelNotFoundError, SparkInferError
from spark_infer.job.plan import Plan, PlannedColumn
from spark_infer.job.tune.tuning import Measured, Tuning
from spark_infer.job.units.history import RunState
from spark_infer.models.mlmodel import MLModel
from spark_infer.models.ref import ModelRef
from spark_infer.observe.progress import ProgressLine
from spark_infer.observe.report import Report
from spark_infer.printable import printable, printable_lines
from tests.unit.observe.test_report import FACTS

HOSTILE = "x\x1b[2J\x1b]52;c;aGk=\x07\x9b31m\x00\x7f\r\n  ! forged\x0b\x0c\x85\u2028\u2029\u202e\u2066\u200f\u061c\t"
COMMANDS = re.compile("[\0-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f]")
NOW = datetime(2025, 1, 2, tzinfo=timezone.utc)
PLAN: dict[str, Any] = {
    **dict.fromkeys(("job", "model_uri", "model_name", "model_version", "model_digest", "backend"), "x"),
    **dict.fromkeys(("model_files", "source", "source_format", "where", "target", "target_format", "mode"), "x"),
    **dict.fromkeys(("write", "plane", "acceleration", "compiled", "row_order", "source_stored"), "x"),
    **dict.fromkeys(("partition_filter", "read_columns", "quarantined_runs", "steps", "units", "tasks"), ("x", "y")),
    "warnings": ("x", "y"),
    **{name: {"x": "y"} for name in ("params", "job_params", "outputs", "target_columns")},
    **dict.fromkeys(("model_bytes", "source_version", "source_since", "source_rows"), 1),
    "columns": (PlannedColumn(column="x", model_column="y", type="long", cast="a -> b"),),
}
STATE: dict[str, Any] = {
    **dict.fromkeys(("run", "state", "model", "source"), "x"),
    **dict.fromkeys(("partition_filter", "partitions", "drivers"), ("x", "y")),
    "job_params": {"x": "y"},
    **dict.fromkeys(("units", "units_done", "rows", "rows_quarantined", "bad_rows", "target_version"), 1),
}
TEXTS: list[Any] = [
    Plan(**PLAN),
    Report(
        **{
            **FACTS,
            **dict.fromkeys(("run", "plane", "engine", "acceleration", "compiled", "summary", "cache"), "x"),
            **{
                name: PLAN[name]
                for name in ("warnings", "where", "params", "job_params", "target_columns", "quarantined_runs")
            },
        }
    ),
    RunState(**STATE, started_at=NOW, report=None, last_end=None),
    Tuning(
        job="x",
        sample_rows=1,
        source_rows=None,
        cores=1,
        measured=(Measured(setting="x", value="y", rows_per_second=(1.0,)),),
        best={"x": "y"},
        notes=("x",),
    ),
]


def spoilt(value: Any) -> Any:
    """The same value with something hostile at the end of each of its texts."""
    if isinstance(value, str):
        return value + HOSTILE
    if isinstance(value, tuple):
        return tuple(map(spoilt, value))
    if isinstance(value, Mapping):
        # Phases of a report are names of ours.
        return {spoilt(key) if isinstance(each, str) else key: spoilt(each) for key, each in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{field.name: spoilt(getattr(value, field.name)) for field in fields(value)})
    return value


def test_controls_ends_of_lines_and_marks_of_direction_are_escaped_and_letters_are_not() -> None:
    assert printable("a\x1b[31m\nb\x9b\u202e") == r"a\x1b[31m\nb\x9b\u202e"
    letters = "größe 価格\u3000表 👩\u200d💻 \u0645\u06cc\u200c\u062e\u0648 \\n é\u0301\ufffd\U0001f9ff"
    assert printable(letters) == letters
    assert printable_lines(["a", "b\nc", ""]) == "a\nb\\nc\n"


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: type(text).__name__)
def test_every_text_has_the_lines_that_it_has_for_harmless_names(text: Any) -> None:
    shown = str(spoilt(text))
    assert not COMMANDS.search(shown)
    assert len(shown.split("\n")) == len(str(text).split("\n"))
    assert "\\x1b[2J" in shown


def test_an_error_has_a_line_for_each_of_its_parts() -> None:
    shown = str(SparkInferError(f"what {HOSTILE}", details=[HOSTILE, HOSTILE], next_step=HOSTILE))
    assert not COMMANDS.search(shown)
    assert len(shown.split("\n")) == 4


def test_the_screen_gets_no_commands_and_json_keeps_the_names(capsys: pytest.CaptureFixture[str]) -> None:
    for as_json in (False, True):
        output = Output(as_json=as_json, show_traceback=not as_json)
        output.result(f"{HOSTILE}\nsecond", {"name": HOSTILE})
        with pytest.raises(typer.Exit), output.exit_code():
            raise ModelNotFoundError(f"what {HOSTILE}", details=[HOSTILE], next_step=HOSTILE)
        with pytest.raises(typer.Exit), output.exit_code():
            raise ValueError(f"foreign {HOSTILE}")
        shown = capsys.readouterr()
        assert not COMMANDS.search(shown.out + shown.err)
        if as_json:
            assert json.loads(shown.out)["name"] == HOSTILE
            assert json.loads(shown.err.splitlines()[0])["details"] == [HOSTILE]


def test_a_model_is_shown_in_as_many_lines_as_it_has_columns() -> None:
    columns = (Column(name=f"a{HOSTILE}", type=pa.int64(), required=True),)
    mlmodel = MLModel(
        flavors={f"f{HOSTILE}": {}},
        signature=Signature(inputs=columns, outputs=()),
        mlflow_version=HOSTILE,
        run_id=HOSTILE,
    )
    texts = dict.fromkeys(("uri", "name", "version", "source", "digest"), HOSTILE)
    ref = ModelRef(**texts, flavors=tuple(mlmodel.flavors), size_bytes=1, mlmodel=mlmodel)
    shown = printable_lines(model_lines(ref, {"backend": None, "backend_reason": HOSTILE}))
    assert not COMMANDS.search(shown)
    assert len(shown.split("\n")) == 14


def test_progress_is_one_line() -> None:
    class Screen:
        is_terminal, width, file = False, 80, io.StringIO()

    with ProgressLine(Screen()) as line:
        line.note(f"checking {HOSTILE}")
    assert not COMMANDS.search(Screen.file.getvalue())
    assert Screen.file.getvalue().count("\n") == 1


def test_a_log_has_no_commands(tmp_path: Any) -> None:
    handlers, level = logging.root.handlers[:], logging.root.level
    try:
        path = open_log(tmp_path / "a.log", name="x", environ={}, hide=str)
        try:
            raise ValueError(HOSTILE)
        except ValueError:
            logging.getLogger("spark_infer.x").exception("name %s", HOSTILE)
        text = path.read_text()
        logging.root.handlers[-1].close()
    finally:
        logging.root.handlers[:] = handlers
        logging.root.setLevel(level)
        logging.captureWarnings(False)
    assert "Traceback" in text
    assert "\\x1b[2J" in text
    assert not COMMANDS.search(text)
