"""Keeping freed memory: once, where the C library can, unless the environment says no."""

from __future__ import annotations

import platform

import pytest

from spark_infer.core.memory import keep_freed_memory

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc")

keep_anew = keep_freed_memory.__wrapped__


def test_memory_is_kept_unless_the_environment_says_no(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPARK_INFER_KEEP_MEMORY", raising=False)
    assert keep_anew()
    monkeypatch.setenv("SPARK_INFER_KEEP_MEMORY", "0")
    assert not keep_anew()
