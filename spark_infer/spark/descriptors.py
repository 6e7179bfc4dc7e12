"""Standard output and error of the whole process, for a while, to a file."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spark_infer.errors import EnvironmentProblem
from spark_infer.runtime.private_files import private

STDOUT = 1
STDERR = 2


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
    try:
        log_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        log = open(log_file, "ab", opener=private)  # noqa: SIM115 - closed by `with log` below
    except OSError as error:
        raise EnvironmentProblem(
            f"The log file {log_file} cannot be written: {error.strerror}.", next_step="choose another log file"
        ) from error
    with log:
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
