"""Start the Spark session of the command line; a session that is already running is used as it is."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import pyspark
from pyspark.sql import SparkSession

from spark_infer.config import SparkConfig
from spark_infer.errors import EnvironmentProblem, SparkInferError
from spark_infer.runtime.env_variables import variables_set
from spark_infer.runtime.import_path import SAFE_PATH, imports_from_current_folder
from spark_infer.runtime.output_capture import LOG_LEVEL
from spark_infer.runtime.private_files import private
from spark_infer.spark import environment
from spark_infer.spark.failed_start import explain_failed_start
from spark_infer.spark.jvm import start_jvm
from spark_infer.spark.properties import require_hidden
from spark_infer.spark.remote import open_remote
from spark_infer.spark.resources.feasibility import require_possible
from spark_infer.spark.session_settings import set_value

logger = logging.getLogger(__name__)

_LISTS = ("spark.jars.packages", "spark.sql.extensions")
_REDACTED = r"(?i)secret|passw|token|(access|account|api|private)[._-]?key|[.]sas[.]|credential|connectionstring"
"""What Spark hides in its UI, event logs and logs: its own default knows no account keys and SAS of Azure."""
_PYSPARK_FOLDER = str(Path(pyspark.__file__).parent)


def has_session() -> bool:
    """Return whether somebody else has started a session: this program, or Databricks for it.

    Databricks has one for every notebook and every Python task, and there `getOrCreate` returns it. The variable is the
    one by which MLflow knows that it runs there (mlflow/utils/databricks_utils.py).
    """
    return SparkSession.getActiveSession() is not None or "DATABRICKS_RUNTIME_VERSION" in os.environ


def start_session(
    config: SparkConfig,
    *,
    app_name: str,
    delta_conf: Mapping[str, str] | None = None,
    log_file: Path | None = None,
    go_on: Callable[[], None] = lambda: None,
) -> SparkSession:
    """Return a Spark session: the running one, spark-submit's, or a new one on this machine, a cluster or a server.

    Where `config.remote` or else `SPARK_REMOTE` names a Spark Connect server, the session is opened there; it gets
    `config.conf` and UTC, and what else the server has: Java, jars and memory are its own.

    Elsewhere settings are taken in this order: `config.conf`, then what spark-submit or `spark-defaults.conf` say, then
    `delta_conf`, then the defaults of `local_defaults`. Lists (`spark.jars.packages`, `spark.sql.extensions`)
    are merged, not replaced.

    Starting takes 5 to 10 seconds; the first start on a machine also downloads Delta's jars.

    Args:
        config: Master, name and settings that the user asked for.
        app_name: Name in the Spark UI where `config` has none.
        delta_conf: The settings that Delta needs, `spark.jars.packages` among them.
        log_file: Where the JVM and the Python workers write from now on, and where pyspark's warnings go. The
            caller's own output stays where it is. None leaves all of it on the screen.
        go_on: Called when a JVM of this machine is up, before anything of Spark starts in it; may raise, to end that.

    Raises:
        EnvironmentProblem: Java, Spark, a jar or an address of this machine does not fit, or no server answers.

    Example:
        >>> spark = start_session(SparkConfig(master="local[2]"), app_name="scores", delta_conf=delta_conf())
        >>> spark.range(3).count()
        3
    """
    if has_session():
        running = SparkSession.getActiveSession() or SparkSession.Builder().getOrCreate()
        _say_reused(running, config)
        return running
    if remote := _remote(config):
        return open_remote(remote, _session_settings() | config.conf)
    submitted = "PYSPARK_GATEWAY_PORT" in os.environ
    spark_home = Path(os.environ.get("SPARK_HOME") or _PYSPARK_FOLDER)
    if not submitted:
        environment.require_matching_spark_home(os.environ, pyspark.__version__)
        environment.require_java(os.environ, pyspark.__version__)
    outer = _submitted_conf() if submitted else environment.read_spark_defaults(os.environ, spark_home)
    delta = _usable_delta_conf(delta_conf or {}, submitted=submitted)
    conf = session_conf(config, app_name=app_name, outer=outer, delta_conf=delta, submitted=submitted)
    require_possible({**outer, **conf})
    require_hidden(conf)
    python = _checked_worker_python(conf)
    variables = _variables(conf["spark.master"], python, spark_home)
    if log_file is not None:
        variables[LOG_LEVEL] = os.environ.get(LOG_LEVEL) or "INFO"  # the workers' stderr is that file
    with variables_set(variables):
        with _explained(conf, log_file):
            start_jvm(conf, log_file, environment.spark_defaults_file(os.environ, spark_home))
        go_on()
        with _explained(conf, log_file):
            session = _start(conf)
    if log_file is not None:
        _send_pyspark_warnings_to(log_file)
    return session


def session_conf(
    config: SparkConfig, *, app_name: str, outer: Mapping[str, str], delta_conf: Mapping[str, str], submitted: bool
) -> dict[str, str]:
    """Merge the settings of a new session; see `start_session` for the order.

    Args:
        config: What the user asked for.
        app_name: Name where nobody gave one.
        outer: What spark-submit or `spark-defaults.conf` already say.
        delta_conf: What Delta needs.
        submitted: True under spark-submit, whose JVM runs already: what sizes a JVM is too late there.
    """
    asked = {**outer, **config.conf}
    master = config.master or asked.get("spark.master", "local[*]")
    ours = _everywhere() | dict(delta_conf)
    if environment.is_local(master) and not submitted:
        ours |= local_defaults()
    if environment.is_local(master) and not imports_from_current_folder():
        ours[f"spark.executorEnv.{SAFE_PATH}"] = "1"
    conf = {key: value for key, value in ours.items() if key not in outer} | config.conf
    for key in _LISTS:
        if key in delta_conf:
            conf[key] = _merge(asked.get(key, ""), delta_conf[key])
    conf["spark.master"] = master
    conf["spark.app.name"] = config.app_name or asked.get("spark.app.name") or app_name
    return conf


def _remote(config: SparkConfig) -> str | None:
    """Return the address of the Spark Connect server to use."""
    variable = os.environ.get("SPARK_REMOTE")
    if variable and config.master:
        raise EnvironmentProblem(
            f"SPARK_REMOTE names a Spark Connect server, and the job the Spark master {config.master!r}.",
            next_step="unset SPARK_REMOTE, or take spark.master out of the job",
        )
    return config.remote or variable


def _everywhere() -> dict[str, str]:
    return _session_settings() | {
        "spark.python.worker.faulthandler.enabled": "true",
        "spark.redaction.regex": _REDACTED,
    }


def _session_settings() -> dict[str, str]:
    return {"spark.sql.session.timeZone": "UTC"}


def local_defaults() -> dict[str, str]:
    """Return what a Spark on one machine is better off with; `conf/spark-defaults.conf` says why for each."""
    return {
        "spark.driver.memory": environment.local_driver_memory(environment.memory_bytes()),
        "spark.python.unix.domain.socket.enabled": "true",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.databricks.delta.snapshotPartitions": "4",
    }


def _merge(mine: str, added: str) -> str:
    """Join two comma-separated lists; of two builds of one `group:artifact_scala:version` the first stays."""
    items: dict[str, str] = {}
    for item in filter(None, (part.strip() for part in f"{mine},{added}".split(","))):
        artifact = item.rpartition(":")[0].partition("_")[0]
        items.setdefault(artifact or item, item)
    return ",".join(items.values())


def _say_reused(session: SparkSession, config: SparkConfig) -> None:
    logger.info("Using the Spark session that is already running (Spark %s).", session.version)
    ignored = sorted(key for key, value in config.conf.items() if set_value(session, key) != value)
    if ignored:
        logger.warning("The running Spark session keeps its own settings; not applied: %s", ", ".join(ignored))


def _submitted_conf() -> dict[str, str]:
    """Read what spark-submit was given; its JVM runs already, so this is always classic Spark."""
    from pyspark import SparkConf, SparkContext  # the package pyspark-client, for Spark Connect alone, has neither

    SparkContext._ensure_initialized()
    return dict(SparkConf().getAll())


def _usable_delta_conf(delta_conf: Mapping[str, str], *, submitted: bool) -> Mapping[str, str]:
    """Drop Delta's settings where spark-submit started a JVM without its jar: it is too late to fetch one."""
    if not (submitted and delta_conf):
        return delta_conf
    from py4j.java_gateway import JavaClass
    from pyspark import SparkContext

    jvm = SparkContext._jvm
    if jvm is not None and isinstance(jvm.io.delta.sql.DeltaSparkSessionExtension, JavaClass):
        return delta_conf
    logger.warning(
        "spark-submit was started without Delta's jar, so Delta tables cannot be used: add `--packages %s`",
        delta_conf.get("spark.jars.packages", "io.delta:…"),
    )
    return {}


def _checked_worker_python(conf: Mapping[str, str]) -> str | None:
    """Choose the interpreter of the workers; on this machine, make sure that Spark will accept it."""
    python = environment.worker_python(conf["spark.master"], conf, os.environ, sys.executable)
    if python is None or python == sys.executable or not environment.is_local(conf["spark.master"]):
        return python
    mine = f"{sys.version_info.major}.{sys.version_info.minor}"
    probed = environment.probe_python(python)
    if probed is None or probed[0] != mine:
        raise EnvironmentProblem(
            f"The Python workers would run {python!r}, which "
            + ("does not start." if probed is None else f"is Python {probed[0]}; this is Python {mine}."),
            next_step="unset PYSPARK_PYTHON and spark.pyspark.python, or let them name this Python",
        )
    return python


def _variables(master: str, python: str | None, spark_home: Path) -> dict[str, str]:
    variables = {}
    if python is not None:
        variables["PYSPARK_PYTHON"] = python
    if (spark_home / "bin" / "spark-submit").is_file():
        # Without it, Spark's launcher asks the `python3` on the PATH where Spark is.
        variables["SPARK_HOME"] = str(spark_home)
    if environment.is_local(master):
        # Spark looks the hostname up even when it binds elsewhere; a name that does not resolve ends the start.
        variables["SPARK_LOCAL_IP"] = os.environ.get("SPARK_LOCAL_IP") or "127.0.0.1"
    return variables


def _start(conf: Mapping[str, str]) -> SparkSession:
    builder = SparkSession.Builder()
    for key, value in conf.items():
        builder = builder.config(key, value)
    return builder.getOrCreate()


@contextmanager
def _explained(conf: Mapping[str, str], log_file: Path | None) -> Iterator[None]:
    """Turn what pyspark and py4j raise, which are unrelated types, into the error that Spark did not start."""
    before = log_file.stat().st_size if log_file is not None and log_file.exists() else 0
    try:
        yield
    except SparkInferError:
        raise
    except Exception as error:
        written = _written_since(log_file, before)
        raise explain_failed_start(error, conf=conf, jvm_output=written, log_file=log_file) from error


def _written_since(log_file: Path | None, start: int) -> str:
    if log_file is None or not log_file.exists():
        return ""
    with log_file.open("rb") as log:
        log.seek(start)
        return log.read().decode("utf-8", "replace")


def _send_pyspark_warnings_to(log_file: Path) -> None:
    """Write the warnings that pyspark raises in the driver to the log; all others stay where they were."""
    show = warnings.showwarning

    def showwarning(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if file is not None or not filename.startswith(_PYSPARK_FOLDER):
            show(message, category, filename, lineno, file, line)
            return
        with open(log_file, "a", encoding="utf-8", opener=private) as log:
            log.write(warnings.formatwarning(message, category, filename, lineno, line))

    warnings.showwarning = showwarning
