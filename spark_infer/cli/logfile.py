"""The log file of one command: what Spark, MLflow and Python's warnings have to say goes there."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from pathlib import Path

from spark_infer.errors import EnvironmentProblem
from spark_infer.printable import PrintableFormatter


def default_log_file(name: str, environ: Mapping[str, str], now: datetime) -> Path:
    """Return ``$XDG_STATE_HOME/spark_infer/logs/NAME-TIME-PID.log``, by default below ``~/.local/state``.

    The state folder is where the XDG base directory specification wants logs
    (https://specifications.freedesktop.org/basedir-spec/latest/).
    """
    state = environ.get("XDG_STATE_HOME")
    root = Path(state) if state else Path(environ.get("HOME") or Path.home()) / ".local" / "state"
    return root / "spark_infer" / "logs" / f"{name}-{now:%Y%m%dT%H%M%SZ}-{os.getpid()}.log"


def create_log(path: Path) -> None:
    """Make a log that its owner alone can read, since what a model prints may be values of rows.

    A file or folder that is there keeps its mode.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600))


class _HidingFormatter(PrintableFormatter):
    """Writes a log without secrets, whoever wrote the line."""

    def __init__(self, hide: Callable[[str], str]) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")
        self._hide = hide

    def format(self, record: logging.LogRecord) -> str:
        return self._hide(super().format(record))


def open_log(path: Path | None, *, name: str, environ: Mapping[str, str], hide: Callable[[str], str]) -> Path:
    """Send all logging of this process to a file, which only its owner can read where it is new, and return the file.

    Args:
        path: The file that was asked for; it is appended to.
        name: Of the job, for the default file.
        environ: Where the default folder is looked up.
        hide: Takes the secrets out of a line.

    Raises:
        EnvironmentProblem: The file cannot be written.
    """
    chosen = (path or default_log_file(name, environ, datetime.now(timezone.utc))).absolute()
    try:
        create_log(chosen)
        to_file = logging.FileHandler(chosen, encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise EnvironmentProblem(
            f"the log file {chosen} cannot be written: {reason}", next_step="Name another with --log-file."
        ) from None
    to_file.setFormatter(_HidingFormatter(hide))
    root = logging.getLogger()
    for before in list(root.handlers):
        root.removeHandler(before)
        if isinstance(before, logging.FileHandler):  # an earlier command's, in the same process
            before.close()
    root.addHandler(to_file)
    root.setLevel(logging.INFO)
    logging.getLogger("py4j").setLevel(logging.WARNING)
    logging.captureWarnings(True)
    # Else MLflow gives its loggers handlers of their own, which write to the screen.
    os.environ.setdefault("MLFLOW_CONFIGURE_LOGGING", "false")
    return chosen
