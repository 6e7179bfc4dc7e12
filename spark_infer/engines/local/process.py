"""A process of engine `local`: the work first, then one task for each message; answers with what a task came to."""

from __future__ import annotations

import os
import pickle
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from spark_infer.engines.direct_work import DirectWork, written_files
from spark_infer.models.files.distribution import ModelFiles, open_folder
from spark_infer.runtime.assignment import Assignment
from spark_infer.runtime.child_process import answer, messages, own_pipes, write
from spark_infer.runtime.output_capture import open_worker_log
from spark_infer.tables.sink.sink_spec import SinkSpec

MODULE = "spark_infer.engines.local.process"


class Work(Protocol):
    """What every process needs; plain values."""

    def do(self, number: int) -> object:
        """Do the task of a number."""


@dataclass(frozen=True, kw_only=True)
class LocalWork:
    """Tasks that read, score and write."""

    work: DirectWork
    sink: SinkSpec
    files: ModelFiles
    assigned: Assignment

    def folder(self) -> Path:
        """Find the model's files."""
        return open_folder(self.files, nothing_sent)

    def do(self, number: int) -> object:
        """Do a task; returns its files and what it cost."""
        return written_files(self.work, self.folder, number, self.assigned, self.sink)


def nothing_sent(name: str) -> Path:
    """Find files that were sent to this process: none are, since it reads the store of this machine."""
    raise LookupError(name)


def serve(receive: IO[bytes], send: IO[bytes]) -> None:
    """Do the tasks of the messages; returns when the other side is gone."""
    received = messages(receive)
    try:
        job: Work = pickle.loads(received.get() or b"")
        write(send, answer(True, None))
    except (Exception, SystemExit) as error:
        write(send, answer(False, error))
        return
    while (message := received.get()) is not None:
        write(send, _done(job, int(message)))


def _done(job: Work, number: int) -> bytes:
    try:
        return answer(True, job.do(number))
    except (Exception, SystemExit) as error:
        return answer(False, error)


def main() -> None:
    """Serve the process that started this one."""
    open_worker_log(os.environ)
    with suppress(BrokenPipeError):  # the process that started this one was killed
        serve(*own_pipes())


if __name__ == "__main__":
    main()
