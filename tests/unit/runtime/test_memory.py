"""Freed memory is kept, tensors get large pages unless the user says otherwise, and a container's limit is found."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import pytest

from spark_infer.runtime import memory
from spark_infer.runtime.memory import free_memory_bytes, keep_freed_memory, large_pages

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


def test_what_is_free_is_that_of_the_container_where_it_has_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "memory.max").write_text("1000000\n")
    (tmp_path / "memory.current").write_text("500000\n")
    (tmp_path / "memory.stat").write_text("anon 300000\ninactive_file 200000\n")
    monkeypatch.setattr(memory, "_CGROUPS", ((tmp_path, "memory.max", "memory.current"),))
    assert free_memory_bytes() == 700_000
    (tmp_path / "memory.max").write_text("max\n")
    assert free_memory_bytes() != 700_000
