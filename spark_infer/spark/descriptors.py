"""Standard output and error of the whole process, for a while, to a file."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import IO, TextIO

from spark_infer.errors import EnvironmentProblem
from spark_infer.runtime.private_files import private

STDOUT = 1
STDERR = 2


def opened(log_file: Path) -> IO[bytes]:
    """Open a file to append to, made with its folder where it is not there, for this user alone.

    Raises:
        EnvironmentProblem: The file cannot be written.
    """
    try:
        log_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return open(log_file, "ab", opener=private)
    except OSError as error:
        raise EnvironmentProblem(
            f"The log file {log_file} cannot be written: {error.strerror}.", next_step="choose another log file"
        ) from error


@contextmanager
def descriptors_to(log_file: Path, *descriptors: int) -> Iterator[int]:
    """Append to a file what this process, and the processes it starts, write on some descriptors.

    A child keeps what it inherited: a JVM that starts meanwhile writes to the file for its whole life. It is the
    descriptor that is moved, because a child inherits no Python object.

    Args:
        log_file: Made with its folder where it is not there, for this user alone.
        descriptors: `STDOUT`, `STDERR`, or both.

    Yields:
        The length of the file before, where the new lines begin.

    Raises:
        EnvironmentProblem: The file cannot be written.
    """
    with opened(log_file) as log:
        sys.stdout.flush()
        sys.stderr.flush()
        screens = {descriptor: os.dup(descriptor) for descriptor in descriptors}
        for descriptor in descriptors:
            os.dup2(log.fileno(), descriptor)
        try:
            yield log.tell()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for descriptor, screen in screens.items():
                os.dup2(screen, descriptor)
                os.close(screen)


@contextmanager
def libraries_to(log_file: Path) -> Iterator[None]:
    """Append to a file what libraries write by themselves: native code on both descriptors, and `print`.

    What goes through `sys.stderr` still comes to the screen, unless another block captures that.

    Args:
        log_file: As for `descriptors_to`.

    Raises:
        EnvironmentProblem: The file cannot be written.
    """
    ours: TextIO = sys.stderr
    if sys.stderr is not sys.__stderr__ or ours is None:  # somebody has replaced it, and with it what is on the screen
        with descriptors_to(log_file, STDOUT):
            yield
        return
    with (
        open(os.dup(STDERR), "w", encoding=ours.encoding, errors=ours.errors, buffering=1) as screen,
        descriptors_to(log_file, STDOUT, STDERR),
        redirect_stderr(screen),
    ):
        yield
