"""Loaded models that a Python worker keeps, whatever task, partition or query asks for them."""

from __future__ import annotations

import gc
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Protocol, TypeVar, cast

from spark_infer.core.stats import Stats


class Closeable(Protocol):
    """Something that holds memory until it is closed."""

    def close(self) -> None:
        """Give the memory back."""
        ...


T = TypeVar("T", bound=Closeable)


@dataclass
class _Entry:
    model: Closeable
    size_bytes: int
    address: str | None


def _say_nothing(what: str) -> None:
    """Nobody waits."""


class ModelCache:
    """A least-recently-used cache of loaded models, bounded in bytes.

    The newest model always stays, also when it alone is larger than the bound. Evicted models are closed and their
    cycles collected before the next one is loaded, so that two never stand side by side because none ran.
    Models stay on one GPU: before one is asked for at another address, those of the old address go.

    Attributes:
        on_wait: Called with what takes seconds now, since somebody may wait for it: loading a model, or compiling it.

    Args:
        resident_bytes: Tells the memory of this process; what loading added to it is the size of a model.
    """

    def __init__(self, resident_bytes: Callable[[], int]) -> None:
        self.on_wait: Callable[[str], None] = _say_nothing
        self._resident_bytes = resident_bytes
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()
        self._lock = threading.Lock()

    def get(
        self,
        key: Hashable,
        load: Callable[[], T],
        *,
        size_bytes: int,
        max_bytes: int,
        stats: Stats,
        address: str | None = None,
    ) -> T:
        """Return the model of ``key``; load it the first time.

        Args:
            key: What makes the loaded model unique: digest, load options, device.
            load: Loads it.
            size_bytes: Size of its files, the least it will need.
            max_bytes: How much the cache may hold, this model included.
            stats: Takes the count of loads and hits, and the seconds.
            address: The GPU it is on; None without one.
        """
        with self._lock:
            if address is not None:
                self._close([key for key, entry in self._entries.items() if entry.address not in (None, address)])
            if key in self._entries:
                self._entries.move_to_end(key)
                stats.cache_hits += 1
                return cast(T, self._entries[key].model)  # a key stands for one way to load
            self._make_room(max_bytes - size_bytes)
            before = self._resident_bytes()
            self.on_wait("loading the model")
            with stats.timing("load"):
                model = load()
            loads = loads_elsewhere(model, 1)
            stats.loads += loads
            stats.cache_hits += not loads
            measured = max(size_bytes, self._resident_bytes() - before)
            self._entries[key] = _Entry(model, measured, address)
            self._make_room(max_bytes, keep=1)
            return model

    def size_of(self, key: Hashable) -> int | None:
        """Return the bytes of a model that is held, as measured when it was loaded; None without it."""
        entry = self._entries.get(key)
        return None if entry is None else entry.size_bytes

    def clear(self) -> None:
        """Close and forget every model."""
        with self._lock:
            self._make_room(-1)

    @property
    def size_bytes(self) -> int:
        """Bytes of the models held, as measured when they were loaded."""
        return sum(entry.size_bytes for entry in self._entries.values())

    def __len__(self) -> int:
        return len(self._entries)

    def _make_room(self, room_bytes: int, *, keep: int = 0) -> None:
        evicted: list[Hashable] = []
        left_bytes = self.size_bytes
        for key in list(self._entries)[: max(0, len(self._entries) - keep)]:
            if left_bytes <= room_bytes:
                break
            left_bytes -= self._entries[key].size_bytes
            evicted.append(key)
        self._close(evicted)

    def _close(self, keys: list[Hashable]) -> None:
        for key in keys:
            self._entries.pop(key).model.close()
        if keys:
            gc.unfreeze()  # models/worker.py freezes what stays
            gc.collect()


def loads_elsewhere(model: object, here: int = 0) -> int:
    """Return how often a model was loaded in the host of the executor for this process, since the last call.

    Args:
        model: The model.
        here: What is returned for a model of this process.
    """
    take_loads = getattr(model, "take_loads", None)
    return here if take_loads is None else int(take_loads())


def resident_bytes() -> int:
    """Resident memory of this process in bytes; 0 where the platform has no /proc."""
    try:
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[1]) * 4096
    except OSError:
        return 0
