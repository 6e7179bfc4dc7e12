"""Keeping freed memory, and a thread for what shall lie together, unless the environment says no."""

from __future__ import annotations

import os
import platform
import threading

import pytest

from spark_infer.runtime.memory import in_own_memory, keep_freed_memory, large_pages

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc")


def test_memory_is_kept_unless_the_environment_says_no(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPARK_INFER_KEEP_MEMORY", raising=False)
    assert keep_freed_memory()
    monkeypatch.setenv("SPARK_INFER_KEEP_MEMORY", "0")
    assert not keep_freed_memory()


def test_large_pages_are_asked_for_unless_the_user_or_the_environment_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = []
    for keep, given in (("", None), ("", "0"), ("0", None)):
        monkeypatch.setenv("SPARK_INFER_KEEP_MEMORY", keep)
        monkeypatch.delenv("THP_MEM_ALLOC_ENABLE", raising=False)
        if given is not None:
            monkeypatch.setenv("THP_MEM_ALLOC_ENABLE", given)
        large_pages()
        found.append(os.environ.get("THP_MEM_ALLOC_ENABLE"))
    assert found == ["1", "0", None]


def test_what_shall_lie_together_is_made_in_a_thread_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPARK_INFER_KEEP_MEMORY", raising=False)
    before = threading.active_count()
    assert in_own_memory(threading.current_thread) is not threading.current_thread()
    assert threading.active_count() == before
    monkeypatch.setenv("SPARK_INFER_KEEP_MEMORY", "0")
    assert in_own_memory(threading.current_thread) is threading.current_thread()


def test_an_error_in_that_thread_is_the_callers() -> None:
    with pytest.raises(ZeroDivisionError):
        in_own_memory(lambda: 1 / 0)
