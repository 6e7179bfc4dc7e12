"""One process holds the model, whoever asks: workers feed it, and neither their ends nor its own lose a row."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from spark_infer.core.buckets import predict_in_buckets, prepares
from spark_infer.core.memory_ceiling import MemoryCeiling
from spark_infer.core.stats import Stats
from spark_infer.errors import ModelCrashedError, ModelHungError, ModelLoadError
from spark_infer.runtime.host.host_place import HostPlace
from spark_infer.runtime.host.hosted_model import HostedModel, HostLimits
from spark_infer.runtime.host.messages import Wish
from spark_infer.runtime.host.start_host import ask_host, make_room
from spark_infer.runtime.process_identity import ProcessIdentity
from tests.unit.runtime.host.doubling import (
    CRASHES,
    FORKS,
    HANGS,
    HOLDS_THE_LOCK,
    KEEPS,
    NAPS,
    RAISES,
    TOO_MANY,
    Doubling,
    dies_while_it_loads,
    fails_to_load,
    loads,
)

LIMITS = HostLimits(
    threads=1,
    load_seconds=60,
    predict_seconds=60,
    max_rows=64,
    max_bytes=2**20,
    size_bytes=1,
    cache_bytes=2**30,
)
Worker = Callable[..., HostedModel]


class Executor:
    """A process in the place of an executor, and the hosts that end with it."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "loads"
        self.process = subprocess.Popen(["sleep", "600"])
        self.identity = ProcessIdentity.of(self.process.pid)
        self._workers: list[HostedModel] = []

    def worker(self, key: str = "model", load: Any = loads, **limits: Any) -> HostedModel:
        """Connect a worker, whose host is started where it does not run."""
        place = HostPlace.of(self.identity, "cpu", [key])
        find = lambda: partial(load, str(self.log))  # noqa: E731
        made = HostedModel(find, executor=self.identity, place=place, limits=replace(LIMITS, **limits))
        self._workers.append(made)
        return made

    def hosts(self) -> list[int]:
        """The processes that have loaded a model, in this order."""
        return [int(line) for line in self.log.read_text().split()] if self.log.exists() else []

    def close(self) -> None:
        for each in self._workers:
            each.close()
        self.process.kill()
        self.process.wait()


@pytest.fixture
def executor(tmp_path: Path) -> Iterator[Executor]:
    made = Executor(tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="module")
def shared_executor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Executor]:
    """One whose host no test ends."""
    made = Executor(tmp_path_factory.mktemp("executor"))
    yield made
    made.close()


def rows(*values: float) -> pa.RecordBatch:
    return pa.record_batch({"x": pa.array(values, pa.float64())})


def doubled(model: HostedModel, *values: float) -> list[float]:
    found: list[float] = list(model.predict(rows(*values))["y"])
    return found


def ask_and_forget(model: HostedModel, value: float) -> None:
    with suppress(Exception):  # the host ends amid it, and its executor is gone
        model.predict(rows(value))


def shared_memory_files() -> list[str]:
    """Those that Python or this library would have made; other programs have some of their own."""
    return sorted(
        path.name for pattern in ("psm_*", "spark_infer-*") for path in Path("/dev/shm").glob(pattern) if path.is_file()
    )


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def ends(pid: int, seconds: float = 5) -> bool:
    end = time.monotonic() + seconds
    while is_running(pid) and time.monotonic() < end:
        time.sleep(0.02)
    return not is_running(pid)


def test_workers_share_one_load_and_get_what_the_model_answers(shared_executor: Executor) -> None:
    one, two = shared_executor.worker("shared"), shared_executor.worker("shared")
    here = Doubling().predict(rows(1, 2.5, 3))
    for model in (one, two):
        answer = model.predict(rows(1, 2.5, 3))
        assert list(answer["y"]) == list(here["y"])
        assert answer["rows"].to_pylist() == [3, 3, 3]  # type: ignore[union-attr]
        assert (model.by_row, model.batch_rows, model.outputs()) == (True, 64, Doubling().outputs())
    assert [one.take_loads(), two.take_loads(), one.take_loads()] == [1, 0, 0]
    assert len(shared_executor.hosts()) == 1


def test_what_a_model_keeps_of_a_batch_is_not_written_over(shared_executor: Executor) -> None:
    model = shared_executor.worker("shared")
    assert doubled(model, KEEPS, 1) == [2 * KEEPS, 2]
    assert doubled(model, 3, 4) == [6, 8]
    assert doubled(model, KEEPS, 5) == [2 * KEEPS, 2, 2 * KEEPS, 10]


def test_token_batches_reach_the_model_and_their_answers_are_in_order(shared_executor: Executor) -> None:
    model, stats = shared_executor.worker("shared"), Stats()
    assert prepares(model)
    words = ["zebra", "a", "a long text, which is alone", "bc", "zz", "quick", "d"]

    def predict(some: pa.RecordBatch) -> pa.RecordBatch:
        return pa.record_batch({str(name): values for name, values in model.predict_prepared(some).items()})

    prepared = model.prepare(pa.record_batch({"text": words}))
    found = predict_in_buckets(
        prepared, predict, batch_cost=model.batch_cost, most_rows=None, ceiling=MemoryCeiling(), stats=stats
    )
    assert found["y"].to_pylist() == [2 * sum(word.encode()) for word in words]
    assert found["rows"].to_pylist() == [2, 2, 1, 2, 2, 2, 2]  # beside those of as many tokens
    assert stats.tokens == stats.computed_tokens == sum(map(len, words))


def test_each_feeder_gets_its_own_rows_in_its_order(shared_executor: Executor) -> None:
    joined: list[bool] = []
    counted: list[Stats] = []
    wrong: list[list[float]] = []

    def feed(number: int) -> None:
        model, chance = shared_executor.worker("shared"), random.Random(number)
        for _ in range(40):
            values = [chance.random() + number for _ in range(chance.randint(1, 40))]
            answer = model.predict(rows(*values))
            joined.append(answer["rows"][0].as_py() > len(values))
            if list(answer["y"]) != [2 * value for value in values]:
                wrong.append(values)
        counted.append(Stats())
        model.add_counts(counted[-1])

    threads = [threading.Thread(target=feed, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(joined) == 320
    assert any(joined)  # batches of several feeders were predicted in one call
    assert [each.hosted_batches for each in counted] == [40] * 8
    assert sum(each.joined_batches for each in counted) == sum(joined)


def test_what_the_model_raises_comes_to_the_worker_whose_rows_it_is_about(shared_executor: Executor) -> None:
    good, bad, large = (shared_executor.worker("shared") for _ in range(3))
    found: dict[str, Any] = {}

    def ask(name: str, model: HostedModel, *values: float) -> None:
        try:
            found[name] = doubled(model, *values)
        except Exception as error:
            found[name] = type(error)

    keeps_busy = threading.Thread(target=ask, args=("busy", shared_executor.worker("shared"), NAPS))
    keeps_busy.start()
    time.sleep(0.1)
    asked = [("good", good, 1.0), ("bad", bad, RAISES), ("large", large, TOO_MANY)]
    threads = [threading.Thread(target=ask, args=each) for each in asked]
    for thread in (*threads, keeps_busy):
        if thread is not keeps_busy:
            thread.start()
    for thread in (*threads, keeps_busy):
        thread.join()
    # One row alone is what the model has memory for.
    assert found == {"busy": [2 * NAPS], "good": [2.0], "bad": ValueError, "large": [2 * TOO_MANY]}


def test_a_worker_that_is_killed_amid_its_batch_disturbs_no_other(shared_executor: Executor) -> None:
    model = shared_executor.worker("shared")
    (host,) = shared_executor.hosts()
    before = shared_memory_files()
    child = os.fork()
    if not child:
        doubled(shared_executor.worker("shared"), NAPS, NAPS)
        os._exit(0)
    time.sleep(0.15)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert doubled(model, 1, 2) == [2, 4]
    assert shared_memory_files() == before
    time.sleep(0.1)
    other = shared_executor.worker("shared")
    other.close()
    assert doubled(model, 3) == [6]
    mapped = Path(f"/proc/{host}/maps").read_text().count("memfd:spark_infer-batch")
    assert mapped <= sum(each._connection is not None for each in shared_executor._workers)


def test_a_batch_that_ends_the_host_twice_is_an_error_and_others_are_predicted(executor: Executor) -> None:
    killer, other = executor.worker(), executor.worker()
    with pytest.raises(ModelCrashedError, match=r"batch of 2 rows: signal 11 \(SIGSEGV\)"):
        killer.predict(rows(1, CRASHES))
    assert len(executor.hosts()) == 2
    assert doubled(other, 1, 2) == [2, 4]
    assert doubled(killer, 1) == [2]
    assert len(executor.hosts()) == 3
    stats = Stats()
    killer.add_counts(stats)
    other.add_counts(stats)
    # Two batches were answered; who had seen no end had the host started for the first time.
    assert (stats.loads, stats.hosted_batches, stats.host_restarts) == (3, 2, 2)
    killer.add_counts(stats)
    assert (stats.loads, stats.hosted_batches, stats.host_restarts) == (3, 2, 2)


def test_the_end_of_a_host_is_seen_also_where_the_model_has_forked_processes(executor: Executor) -> None:
    model, began = executor.worker(), time.monotonic()
    with pytest.raises(ModelCrashedError, match=r"batch of 1 rows: signal 9 \(SIGKILL\)"):
        model.predict(rows(FORKS))
    assert time.monotonic() - began < 15  # what it has forked lives for 20 seconds


def test_a_host_that_somebody_kills_is_started_again_for_the_batch_that_it_had(executor: Executor) -> None:
    model, idle = executor.worker(), executor.worker()
    (host,) = executor.hosts()
    kill = threading.Timer(0.1, os.kill, args=(host, signal.SIGKILL))
    kill.start()
    assert doubled(model, NAPS, 1) == [2 * NAPS, 2]
    assert doubled(idle, 4) == [8]
    assert len(executor.hosts()) == 2
    assert ends(host)


@pytest.mark.parametrize(
    "doing", [pytest.param(1.0, marks=pytest.mark.soak), pytest.param(HANGS, marks=pytest.mark.soak), HOLDS_THE_LOCK]
)
def test_the_host_ends_with_its_executor_whatever_it_does(executor: Executor, doing: float) -> None:
    model = executor.worker()
    (host,) = executor.hosts()
    threading.Thread(target=ask_and_forget, args=(model, doing), daemon=True).start()
    time.sleep(0.3)
    folder = model._place.folder
    executor.process.kill()
    executor.process.wait()
    assert ends(host)
    end = time.monotonic() + 2
    while folder.exists() and time.monotonic() < end:
        time.sleep(0.05)
    assert not folder.exists()


def test_the_host_ends_when_nobody_asks(executor: Executor) -> None:
    model = executor.worker(idle_seconds=0.3)
    (host,) = executor.hosts()
    assert ends(host)
    assert not model._place.socket.exists()


def test_a_call_that_takes_too_long_is_an_error_with_its_stack(executor: Executor) -> None:
    model = executor.worker(predict_seconds=2)
    with pytest.raises(ModelHungError, match=r"longer than 2 seconds for a batch of 1 rows") as hung:
        model.predict(rows(HANGS))
    assert any("doubling.py" in line for line in hung.value.details)


def test_a_model_that_does_not_load_leaves_no_host_behind(executor: Executor) -> None:
    with pytest.raises(ValueError, match="not this one"):
        executor.worker(load=fails_to_load)
    (host,) = executor.hosts()
    assert ends(host)
    with pytest.raises(ModelLoadError, match=r"ended while it loaded the model: signal 9 \(SIGKILL\)"):
        executor.worker(load=dies_while_it_loads)


def test_the_least_used_model_of_a_device_goes_where_the_budget_ends(executor: Executor) -> None:
    executor.worker("old")
    used = executor.worker("used")
    first, second = executor.hosts()
    make_room(HostPlace.of(executor.identity, "cpu", ["new"]), 2**30, 2**40)
    assert is_running(first)
    sizes = sum(ask_host(place, Wish.STATUS)[0] for place in HostPlace.of(executor.identity, "cpu", ["new"]).others())
    make_room(HostPlace.of(executor.identity, "cpu", ["new"]), 1, sizes)
    assert ends(first)
    assert doubled(used, 1) == [2]
    assert is_running(second)


@pytest.mark.soak
def test_the_host_survives_the_worker_that_started_it_and_the_signals_to_its_group(tmp_path: Path) -> None:
    program = (
        "import os, sys, signal\n"
        "from spark_infer.runtime.process_identity import ProcessIdentity\n"
        "from tests.unit.runtime.host.test_hosted_model import Executor, doubled\n"
        "from pathlib import Path\n"
        "made = Executor.__new__(Executor)\n"
        "made.log, made._workers = Path(sys.argv[1]), []\n"
        "made.identity = ProcessIdentity.of(int(sys.argv[2]))\n"
        "assert doubled(made.worker(), 1) == [2]\n"
        "os.kill(0, signal.SIGHUP)\n"  # as the daemon of Spark's workers does
    )
    made = Executor(tmp_path)
    try:
        command = [sys.executable, "-c", program, str(made.log), str(made.process.pid)]
        done = subprocess.run(command, start_new_session=True, check=False)
        assert done.returncode == -signal.SIGHUP
        model = made.worker()
        assert doubled(model, 3) == [6]
        assert model.take_loads() == 0
    finally:
        made.close()


def test_the_files_of_executors_that_are_gone_are_removed(executor: Executor) -> None:
    gone = replace(executor.identity, pid=executor.identity.pid, born="1")
    base = Path(tempfile.gettempdir()) / f"spark_infer-{os.geteuid()}"
    left = HostPlace.of(replace(gone, born=executor.identity.born), "cpu", ["x"]).folder
    stale = base / left.name.replace(f"-{executor.identity.born}", "-1")
    stale.mkdir(mode=0o700)
    HostPlace.of(executor.identity, "cpu", ["x"])
    assert left.exists()
    assert not stale.exists()
