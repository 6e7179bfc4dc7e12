"""CPU-seconds of a process tree, from /proc."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from benchmarks.cost import TICKS_PER_SECOND, measure, tree_cpu_seconds

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

BURN_A_FIFTH_OF_A_SECOND = "import time\nwhile time.process_time() < 0.2: pass\n"
# The kernel counts user and system time in whole ticks, each rounded down.
LEAST = 0.2 - 2 / TICKS_PER_SECOND


def test_the_time_of_a_child_that_has_ended_is_counted() -> None:
    cost = measure(lambda: subprocess.run([sys.executable, "-c", BURN_A_FIFTH_OF_A_SECOND], check=True))
    assert cost.cpu_seconds >= LEAST


def test_the_time_of_a_living_grandchild_is_counted() -> None:
    nested = "import subprocess, sys\nsubprocess.run([sys.executable, '-c', sys.argv[1]], stdin=sys.stdin)"
    burn_then_wait = BURN_A_FIFTH_OF_A_SECOND + "print('burnt', flush=True)\ninput()"
    command = [sys.executable, "-c", nested, burn_then_wait]
    with subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "burnt\n"
        seconds = tree_cpu_seconds(os.getpid())
        child.communicate("done\n")
    assert len(seconds) >= 3
    assert sum(seconds.values()) - seconds[os.getpid()] >= LEAST
    assert child.pid in seconds


def test_processes_of_others_are_not_counted() -> None:
    assert os.getppid() not in tree_cpu_seconds(os.getpid())
