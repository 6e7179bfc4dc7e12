"""Freed memory is kept, and tensors get large pages unless the user says otherwise."""

from __future__ import annotations

import os
import platform

import pytest

from spark_infer.runtime.memory import keep_freed_memory, large_pages

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc")


def test_memory_is_kept() -> None:
    assert keep_freed_memory()


def test_large_pages_are_asked_for_unless_the_user_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("THP_MEM_ALLOC_ENABLE", raising=False)
    large_pages()
    assert os.environ.pop("THP_MEM_ALLOC_ENABLE") == "1"
    monkeypatch.setenv("THP_MEM_ALLOC_ENABLE", "0")
    large_pages()
    assert os.environ["THP_MEM_ALLOC_ENABLE"] == "0"
