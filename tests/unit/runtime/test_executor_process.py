"""A worker's executor is the Java process that started it, directly or through others."""

from __future__ import annotations

import subprocess
import sys

import pytest

from spark_infer.runtime.executor_process import java_ancestor

NAMED_JAVA = (
    "import os, subprocess, sys\n"
    "open('/proc/self/comm', 'w').write('java')\n"
    "done = subprocess.run([sys.executable, *sys.argv[1:]], stdout=subprocess.PIPE, text=True)\n"
    "print(os.getpid(), done.stdout)\n"
)
ASKS = "from spark_infer.runtime.executor_process import java_ancestor\nprint(java_ancestor().pid)"
BETWEEN = "import subprocess, sys\nsubprocess.run([sys.executable, '-c', sys.argv[1]])"


def test_without_one_there_is_none() -> None:
    assert java_ancestor() is None


@pytest.mark.parametrize("between", [[], [BETWEEN]], ids=["its child", "a child of the daemon"])
def test_it_is_the_next_one_above(between: list[str]) -> None:
    inner = [*(each for code in between for each in ("-c", code)), *([] if between else ["-c"]), ASKS]
    command = [sys.executable, "-c", NAMED_JAVA, *inner]
    pid, found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert found == pid
