"""What a host and the benchmark say to each other: one line of JSON each way for each job.

    host:       {"ready": true, "versions": {"ray": "2.60.0"}}
    benchmark:  {"engine": "Ray Data", "workload": {…}, "target": "/…/scored"}
    host:       {"done": true}                    or {"error": "…"}

The host ends when its input does. It imports nothing but the standard library, so that any environment can speak it.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TextIO

from benchmarks.workload import Workload

Job = Callable[[Workload, Path], object]


def take_output() -> TextIO:
    """Keep standard output for the protocol; whatever else is printed, by children too, goes to standard error."""
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    return replies


def serve(jobs: Mapping[str, Job], replies: TextIO, *, packages: tuple[str, ...] = ()) -> None:
    """Say that this host is ready, then run one job for each line of standard input."""
    _reply(replies, {"ready": True, "versions": _versions(packages)})
    for line in sys.stdin:
        request = json.loads(line)
        try:
            jobs[request["engine"]](Workload.from_json(request["workload"]), Path(request["target"]))
        except Exception:
            _reply(replies, {"error": traceback.format_exc()})
        else:
            _reply(replies, {"done": True})


def _reply(replies: TextIO, message: Mapping[str, Any]) -> None:
    replies.write(json.dumps(message) + "\n")


def _versions(packages: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
