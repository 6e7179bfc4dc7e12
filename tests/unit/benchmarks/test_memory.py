"""The peak memory of a process tree, from /proc."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from benchmarks.memory import peak_bytes, tree_bytes

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

MIB = 2**20


def test_memory_that_a_child_held_and_gave_back_is_in_the_peak() -> None:
    # More than is asked of the peak: the share of pages that processes have in common may shrink meanwhile.
    hold = f"import time\nheld = b'x' * (96 * {MIB})\ntime.sleep(2)\ndel held\n"
    before = tree_bytes(os.getpid())
    peak = peak_bytes(os.getpid(), lambda: subprocess.run([sys.executable, "-c", hold], check=True))
    assert peak - before >= 64 * MIB
    assert tree_bytes(os.getpid()) < peak - 32 * MIB


def test_an_error_of_what_runs_is_passed_on() -> None:
    with pytest.raises(ZeroDivisionError):
        peak_bytes(os.getpid(), lambda: 1 // 0)
