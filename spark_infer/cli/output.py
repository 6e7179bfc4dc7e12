"""What a command prints: its result on stdout, everything else on stderr, and the exit code.

Nothing here depends on the job: a command says what to hide and where the log is once it knows.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from spark_infer.core.exception_text import first_line
from spark_infer.errors import SparkInferError
from spark_infer.printable import printable_lines, printable_text
from spark_infer.runtime.stop_signals import described, exit_code

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

logger = logging.getLogger(__name__)

UNEXPECTED = 1

_STYLES = (
    (re.compile(r"^(?! ).+$", re.MULTILINE), "bold"),
    (re.compile(r"^  [a-z][a-z_ ]{0,17}(?=  )|^  [a-z]{1,8}(?= )", re.MULTILINE), "cyan"),
    (re.compile(r"█+"), "green"),
    (re.compile(r"^  ! .*$", re.MULTILINE), "yellow"),
)
_ERROR_STYLES = (
    (re.compile(r"\A\w+:"), "bold red"),
    (re.compile(r"^(Next|Log):", re.MULTILINE), "bold"),
)


class Output:
    """The two streams of one command.

    Args:
        as_json: Print facts for machines: the result alone on stdout, an error as JSON on stderr.
        show_traceback: Print the Python traceback of an error too.

    Attributes:
        hide: Takes secrets out of errors; knows those of the job file once that is read.
        log_file: Named on failure; set once it is open.
    """

    def __init__(self, *, as_json: bool = False, show_traceback: bool = False) -> None:
        self.as_json = as_json
        self.hide: Callable[[Any], Any] = _hide
        self.log_file: Path | None = None
        self._show_traceback = show_traceback

    @property
    def screen(self) -> Console:
        """Where progress goes: stderr."""
        from rich.console import Console

        return Console(stderr=True, soft_wrap=True)

    @property
    def width(self) -> int:
        """Letters of a line of the result."""
        from rich.console import Console

        return Console().width

    def result(self, text: str, facts: Mapping[str, object]) -> None:
        """Print what the command was run for; the secrets of a job are hidden in it already.

        Args:
            text: For people; its line ends are its own, so whoever makes lines of names uses `printable_lines`.
            facts: For machines.
        """
        if self.as_json:
            sys.stdout.write(json.dumps(_hide(dict(facts)), indent=2) + "\n")
            return
        from rich.console import Console

        _print(Console(soft_wrap=True), printable_text(_hide(text)), _STYLES)

    @contextmanager
    def exit_code(self) -> Iterator[None]:
        """Turn whatever ends the block into a message and an exit code.

        Raises:
            typer.Exit: In place of every error: 1 unexpected, 2 refused, 3 environment, 4 failed, 5 out of time, 130
                or 143 interrupted.
        """
        try:
            yield
        except typer.Exit:
            raise
        except KeyboardInterrupt as stopped:
            what, details, next_step = described(stopped)
            self._say("interrupted", what, details, next_step, exit_code(stopped))
            raise typer.Exit(exit_code(stopped)) from None
        except SparkInferError as error:
            self._traceback(error)
            self._say(error.kind, error.what, error.details, error.next_step, error.exit_code, type(error).__name__)
            raise typer.Exit(error.exit_code) from None
        except Exception as error:
            logger.error("unexpected\n%s", self.hide("".join(traceback.format_exception(error))))
            self._traceback(error)
            next_step = "" if self._show_traceback else "Run again with --traceback, and report this as a bug."
            self._say("unexpected", _named(error), (), next_step, UNEXPECTED, type(error).__name__)
            raise typer.Exit(UNEXPECTED) from None

    def _say(self, kind: str, what: str, details: tuple[str, ...], next_step: str, code: int, error: str = "") -> None:
        what, details, next_step = self.hide(what), self.hide(details), self.hide(next_step)
        log = str(self.log_file) if self.log_file is not None and self.log_file.exists() else None
        if self.as_json:
            facts = {
                "error": error or kind,
                "kind": kind,
                "exit_code": code,
                "what": what,
                "details": list(details),
                "next_step": next_step,
                "log_file": log,
            }
            sys.stderr.write(json.dumps(facts) + "\n")
            return
        lines = [f"{kind}: {what}", *(f"  {line}" for line in details)]
        lines += [f"Next: {next_step}"] if next_step else []
        lines += [f"Log: {log}"] if log else []
        _print(self.screen, printable_lines(lines), _ERROR_STYLES)

    def _traceback(self, error: BaseException) -> None:
        if self._show_traceback:
            sys.stderr.write(printable_text(self.hide("".join(traceback.format_exception(error)))))


def _print(console: Console, text: str, styles: tuple[tuple[re.Pattern[str], str], ...]) -> None:
    encoding = console.file.encoding or "utf-8" if hasattr(console.file, "encoding") else "utf-8"
    if not encoding.lower().replace("-", "").startswith("utf"):
        text = text.replace("█", "#").replace("░", ".").replace("…", "...")
    # A lone surrogate or a letter that the terminal lacks must not turn a report into a crash.
    console.print(_painted(text.encode(encoding, "replace").decode(encoding), styles), highlight=False)


def _painted(text: str, styles: tuple[tuple[re.Pattern[str], str], ...]) -> Text:
    from rich.text import Text

    painted = Text(text)
    for pattern, style in styles:
        painted.highlight_regex(pattern, style)
    return painted


def _named(error: Exception) -> str:
    """Name an unexpected error; Spark's messages may quote rows, so of those only the error class is shown."""
    line = first_line(error) if str(error).strip() else ""
    condition = re.match(r"\[[A-Z0-9_.]+\]", line)
    return f"{type(error).__name__}: {condition[0] if condition else line}".removesuffix(": ")


def _hide(value: Any) -> Any:
    from spark_infer.config.secrets import hide  # loads pydantic

    return hide(value)
