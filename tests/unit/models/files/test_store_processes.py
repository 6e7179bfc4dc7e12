from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from spark_infer.errors import ModelFilesError
from spark_infer.models.files import lock as lock_module
from spark_infer.models.files import store as store_module
from spark_infer.models.files.archive import pack
from spark_infer.models.files.digest import folder_digest
from spark_infer.models.files.lock import held
from spark_infer.models.files.store import ModelStore
from tests.unit.models.files import fetching

_spawn = multiprocessing.get_context("spawn")


def _never(into: Path) -> None:
    raise AssertionError("fetched although the model is here")


def _copying(folder: Path, count: list[int]) -> Callable[[Path], None]:
    def fetch(into: Path) -> None:
        count.append(1)
        shutil.copytree(folder, into, dirs_exist_ok=True)

    return fetch


def _temporary(store: ModelStore) -> list[str]:
    return [path.name for path in (store.root / "models" / "tmp").iterdir()]


@pytest.fixture
def processes() -> Iterator[list[multiprocessing.process.BaseProcess]]:
    started: list[multiprocessing.process.BaseProcess] = []
    yield started
    for process in started:
        if process.is_alive():
            process.kill()
        process.join()


def _wait_for(path: Path) -> None:
    deadline = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.02)


def test_processes_that_come_together_fetch_once(
    store: ModelStore, folder: Path, tmp_path: Path, processes: list[multiprocessing.process.BaseProcess]
) -> None:
    log = tmp_path / "fetches"
    arguments = (store.root, folder, folder_digest(folder), log)
    processes += [_spawn.Process(target=fetching.fetch_slowly, args=arguments) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert len(log.read_text().splitlines()) == 1


def test_eight_workers_start_at_once_one_is_killed_in_its_copy_and_one_other_copies(
    store: ModelStore, folder: Path, tmp_path: Path, processes: list[multiprocessing.process.BaseProcess]
) -> None:
    digest, log, archive = folder_digest(folder), tmp_path / "fetches", tmp_path / "model.tar"
    pack(folder, archive)
    arguments = (store.root, archive, digest, log)
    processes += [_spawn.Process(target=fetching.unpack_sent, args=arguments) for _ in range(8)]
    for process in processes:
        process.start()
    _wait_for(tmp_path / "stuck")
    while not (tmp_path / "stuck").read_text():
        time.sleep(0.02)
    killed = int((tmp_path / "stuck").read_text())
    (half,) = [path for path in (store.root / "models" / "tmp").glob("*/model/*") if path.stat().st_size == 3]
    os.kill(killed, signal.SIGKILL)
    for process in processes:
        process.join(60)
    assert {process.exitcode for process in processes if process.pid != killed} == {0}
    first, second = map(int, log.read_text().splitlines())
    assert first == killed
    assert second in {process.pid for process in processes} - {killed}
    assert half.exists(), "what the killed one left is not in the way, and goes after a day"
    assert [path.name for path in (store.root / "models" / "sha256").iterdir()] == [digest]


def test_where_locks_do_nothing_there_is_still_one_sound_entry(
    store: ModelStore,
    folder: Path,
    tmp_path: Path,
    processes: list[multiprocessing.process.BaseProcess],
    new_process: Callable[[], None],
) -> None:
    log = tmp_path / "fetches"
    arguments = (store.root, folder, folder_digest(folder), log)
    processes += [_spawn.Process(target=fetching.fetch_slowly_without_locks, args=arguments) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert len(log.read_text().splitlines()) > 1, "the processes did not meet, so this showed nothing"
    new_process()
    store.ensure(folder_digest(folder), _never)
    assert len(list((store.root / "models" / "sha256").iterdir())) == 1
    assert _temporary(store) == []


def test_a_killed_fetch_leaves_a_folder_that_is_ignored_and_cleaned_after_a_day(
    store: ModelStore, folder: Path, tmp_path: Path, processes: list[multiprocessing.process.BaseProcess]
) -> None:
    digest = folder_digest(folder)
    processes.append(_spawn.Process(target=fetching.fetch_forever, args=(store.root, digest, tmp_path / "started")))
    processes[0].start()
    _wait_for(tmp_path / "started")
    processes[0].kill()
    processes[0].join()
    (leftover,) = _temporary(store)
    started = time.monotonic()
    store.ensure(digest, _copying(folder, []))
    assert time.monotonic() - started < 10, "the lock of a dead process was waited for"
    assert _temporary(store) == [leftover]
    yesterday = time.time() - 25 * 3600
    os.utime(store.root / "models" / "tmp" / leftover, (yesterday, yesterday))
    (folder / "model.skops").write_bytes(b"next")
    store.admit(folder)
    assert _temporary(store) == []


def test_a_lock_that_is_never_given_back_is_not_waited_for_for_ever(
    store: ModelStore,
    folder: Path,
    tmp_path: Path,
    processes: list[multiprocessing.process.BaseProcess],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    digest = folder_digest(folder)
    processes.append(_spawn.Process(target=fetching.hold_lock, args=(store.root, digest, tmp_path / "started")))
    processes[0].start()
    _wait_for(tmp_path / "started")
    monkeypatch.setattr(store_module, "_LOCK_SECONDS", 0.3)
    store.admit(folder)
    assert "Going on without the lock" in caplog.text


def test_a_system_without_locks_goes_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock_module, "fcntl", None)
    with held(tmp_path / "x.lock", wait_seconds=0), held(tmp_path / "x.lock", wait_seconds=0):
        pass


def test_a_planted_lock_link_is_not_followed(store: ModelStore, folder: Path, tmp_path: Path) -> None:
    store.receive(lambda into: (into / "a").touch())
    digest = folder_digest(folder)
    (store.root / "models" / "locks" / f"{digest}.lock").symlink_to(tmp_path / "victim")
    with pytest.raises(ModelFilesError, match="cannot be used"):
        store.ensure(digest, _copying(folder, []))
    assert not (tmp_path / "victim").exists()
