"""What a process keeps is one object; a new one starts with nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from spark_infer.core.stats import Stats
from spark_infer.runtime.process_state import ProcessState, this_process


class Loaded:
    def close(self) -> None:
        pass


def test_a_new_process_has_no_model_no_checked_file_and_no_fallback_of_the_one_before(
    new_process: Callable[[], ProcessState],
) -> None:
    before = new_process()
    before.models.get("a", Loaded, size_bytes=1, max_bytes=10, stats=Stats())
    before.hashed_entries.add(Path("entry"))
    before.device.fall_back("a test")
    after = new_process()
    assert this_process() is after
    assert (len(after.models), after.hashed_entries, after.device.fallbacks) == (0, set(), 0)
    assert (len(before.models), before.device.fallbacks) == (1, 1)
