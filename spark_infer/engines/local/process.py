"""A process of engine `local`: the job first, then one task for each message; answers with files and costs."""

from __future__ import annotations

import os
import pickle
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from spark_infer.engines.direct_work import DirectWork, written_files
from spark_infer.models.files.distribution import ModelFiles, open_folder
from spark_infer.runtime.assignment import Assignment
from spark_infer.runtime.child_process import answer, messages, own_pipes, write
from spark_infer.runtime.output_capture import open_worker_log
from spark_infer.tables.sink.sink_spec import SinkSpec

MODULE = "spark_infer.engines.local.process"


@dataclass(frozen=True, kw_only=True)
class LocalWork:
    """What every process needs; plain values."""

    work: DirectWork
    sink: SinkSpec
    files: ModelFiles
    assigned: Assignment

    def folder(self) -> Path:
        """Find the model's files."""
        return open_folder(self.files, _nothing_sent)


def _nothing_sent(name: str) -> Path:
    raise LookupError(name)


def serve(receive: IO[bytes], send: IO[bytes]) -> None:
    """Do the tasks of the messages; returns when the other side is gone."""
    received = messages(receive)
    try:
        job: LocalWork = pickle.loads(received.get() or b"")
        write(send, answer(True, None))
    except (Exception, SystemExit) as error:
        write(send, answer(False, error))
        return
    while (message := received.get()) is not None:
        write(send, _done(job, int(message)))


def _done(job: LocalWork, number: int) -> bytes:
    try:
        return answer(True, written_files(job.work, job.folder, number, job.assigned, job.sink))
    except (Exception, SystemExit) as error:
        return answer(False, error)


def main() -> None:
    """Serve the process that started this one."""
    open_worker_log(os.environ)
    with suppress(BrokenPipeError):  # the process that started this one was killed
        serve(*own_pipes())


if __name__ == "__main__":
    main()
