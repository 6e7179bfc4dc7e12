from __future__ import annotations

import gc
import weakref

import pytest

from spark_infer.core.stats import Stats
from spark_infer.runtime.model_cache import ModelCache

MB = 2**20


class Loaded:
    """A model that lies in a cycle, as real ones do: only a collection frees it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.closed = False
        self.me = self

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def cache() -> ModelCache:
    return ModelCache(lambda: 0)


def get(cache: ModelCache, name: str, stats: Stats, *, size: int = MB, most: int = 2 * MB) -> Loaded:
    return cache.get(name, lambda: Loaded(name), size_bytes=size, max_bytes=most, stats=stats)


def test_a_model_is_loaded_once_and_counted(cache: ModelCache) -> None:
    stats = Stats()
    first = get(cache, "a", stats)
    assert get(cache, "a", stats) is first
    assert (stats.loads, stats.cache_hits) == (1, 1)


def test_the_least_recently_used_model_goes_and_is_really_freed(cache: ModelCache) -> None:
    stats = Stats()
    a, b = get(cache, "a", stats), get(cache, "b", stats)
    ghost = weakref.ref(b)
    assert get(cache, "a", stats) is a
    gc.disable()
    try:
        del b
        get(cache, "c", stats)
        assert ghost() is None
    finally:
        gc.enable()
    assert not a.closed
    assert len(cache) == 2
    assert stats.loads == 3


def test_room_is_made_before_the_next_model_is_loaded(cache: ModelCache) -> None:
    stats = Stats()
    a = get(cache, "a", stats, most=MB)
    closed_at_load: list[bool] = []

    def load() -> Loaded:
        closed_at_load.append(a.closed)
        return Loaded("b")

    cache.get("b", load, size_bytes=MB, max_bytes=MB, stats=stats)
    assert closed_at_load == [True]


def test_a_model_larger_than_the_bound_stays_while_it_is_the_newest(cache: ModelCache) -> None:
    stats = Stats()
    large = get(cache, "large", stats, size=10 * MB)
    assert get(cache, "large", stats, size=10 * MB) is large
    get(cache, "small", stats)
    assert large.closed


def test_the_size_is_what_loading_added_to_the_process() -> None:
    memory = iter([100, 100 + 3 * MB])
    cache: ModelCache = ModelCache(lambda: next(memory))
    get(cache, "a", Stats())
    assert cache.size_bytes == 3 * MB


def test_a_load_that_fails_leaves_nothing_behind(cache: ModelCache) -> None:
    stats = Stats()

    def fail() -> Loaded:
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        cache.get("a", fail, size_bytes=1, max_bytes=MB, stats=stats)
    assert len(cache) == 0
    assert get(cache, "a", stats).name == "a"


def test_models_of_one_gpu_are_closed_before_another_gpu_gets_any(cache: ModelCache) -> None:
    on_0: list[Loaded] = []
    closed_at_load: list[bool] = []

    def get_at(name: str, address: str | None) -> Loaded:
        def load() -> Loaded:
            closed_at_load.append(any(model.closed for model in on_0))
            return Loaded(name)

        return cache.get(name, load, size_bytes=1, max_bytes=MB, stats=Stats(), address=address)

    on_cpu = get_at("cpu", None)
    on_0 += [get_at("a on 0", "0")]
    on_0 += [get_at("b on 0", "0")]
    assert get_at("a on 0", "0") is on_0[0]
    on_1 = get_at("a on 1", "1")
    assert closed_at_load == [False, False, False, True]
    assert [model.closed for model in on_0] == [True, True]
    assert get_at("cpu", None) is on_cpu
    assert (on_cpu.closed, on_1.closed, len(cache)) == (False, False, 2)


def test_clear_closes_everything(cache: ModelCache) -> None:
    model = get(cache, "a", Stats())
    cache.clear()
    assert model.closed
    assert len(cache) == 0


def test_a_model_that_collections_were_spared_is_freed_when_it_goes(cache: ModelCache) -> None:
    stats = Stats()
    ghost = weakref.ref(get(cache, "a", stats, most=MB))
    gc.freeze()
    try:
        get(cache, "b", stats, most=MB)
        assert ghost() is None
    finally:
        gc.unfreeze()
