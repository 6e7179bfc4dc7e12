"""A process that another one wrote down is known to be there, or to have ended, where that can be known."""

from __future__ import annotations

import os
import signal
import subprocess
from dataclasses import replace

import pytest

from spark_infer.runtime.process_identity import ProcessIdentity


def test_this_process_is_here() -> None:
    own = ProcessIdentity.own()
    assert own.pid == os.getpid()
    assert own.is_here()
    assert not own.is_gone()


def test_a_killed_process_is_gone_also_before_its_parent_has_waited_for_it() -> None:
    with subprocess.Popen(["sleep", "60"]) as running:
        identity = replace(ProcessIdentity.own(), pid=running.pid, born=_born(running.pid))
        assert identity.is_here()
        running.send_signal(signal.SIGKILL)
        os.waitid(os.P_PID, running.pid, os.WEXITED | os.WNOWAIT)
        assert identity.is_gone()


def test_another_process_with_the_same_number_is_another_process() -> None:
    assert replace(ProcessIdentity.own(), born="1").is_gone()


@pytest.mark.parametrize("machine", ["", "another boot"])
def test_nothing_is_known_of_a_process_of_another_machine(machine: str) -> None:
    far = replace(ProcessIdentity.own(), machine=machine)
    assert not far.is_here()
    assert not far.is_gone()


def _born(pid: int) -> str:
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rpartition(")")[2].split()[19]
