"""What is sent to a log file, and who may read that."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from spark_infer.spark.descriptors import STDERR, descriptors_to


@pytest.mark.parametrize("mask", [0o000, 0o002, 0o022, 0o077])
def test_a_log_is_for_its_user_alone_whatever_the_umask(tmp_path: Path, mask: int) -> None:
    log = tmp_path / "logs" / "spark.log"
    before = os.umask(mask)
    try:
        with descriptors_to(log, STDERR):
            os.write(2, b"from Spark\n")
    finally:
        os.umask(before)
    assert (log.stat().st_mode & 0o777, log.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert log.read_bytes() == b"from Spark\n"
