"""A host as a real process: the one of the limits, which needs no Spark."""

from __future__ import annotations

import math
import os
import signal
import sys
from pathlib import Path

import pytest

from benchmarks.cost import tree_cpu_seconds
from benchmarks.hosts.host import EngineError, Host
from benchmarks.workload import Workload

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

ROOT = Path(__file__).parents[3]


def _workload(folder: Path) -> Workload:
    names = ("model_uri", "udf_uri", "model_folder", "tracking_uri", "feeds", "dtype", "method", "raw_type", "name")
    return Workload(
        **dict.fromkeys(names, ""),
        source=str(folder / "no table"),
        rows=0,
        files=0,
        features=(),
        labels=(),
        keep=("id",),
        outputs=(),
        tolerance=0.0,
        spark_conf=(),
        batch_rows=10,
    )


def _start(folder: Path) -> Host:
    environment = {"PYTHONPATH": str(ROOT)}
    return Host(
        "limits", python=sys.executable, log=folder / "log", arguments=["--cores", "1"], environment=environment
    )


def test_a_host_lives_on_after_a_job_that_failed_and_ends_when_it_is_closed(tmp_path: Path) -> None:
    host = _start(tmp_path)
    try:
        with pytest.raises(EngineError, match="KeyError: 'no such engine'"):
            host.run("no such engine", _workload(tmp_path), tmp_path / "scored")
        host.run("limit (no Spark)", _workload(tmp_path), tmp_path / "scored")
        assert host.idle_seconds("limit (no Spark)") < 60
        assert host.idle_seconds("model alone") == math.inf, "an engine is not kept awake by another of its host"
        assert (tmp_path / "scored").is_dir()
        assert host.is_alive
    finally:
        host.close()
    assert not host.is_alive
    assert host.pid not in tree_cpu_seconds(host.pid)


def test_a_job_for_a_host_that_was_killed_says_where_its_log_is(tmp_path: Path) -> None:
    host = _start(tmp_path)
    try:
        os.kill(host.pid, signal.SIGKILL)
        with pytest.raises(EngineError, match=r"its host has ended; see .*log"):
            host.run("limit (no Spark)", _workload(tmp_path), tmp_path / "scored")
    finally:
        host.close()
