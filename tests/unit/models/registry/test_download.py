"""Downloads that do not end, from a server that sends as it likes: they are stopped, and their threads end."""

from __future__ import annotations

import gc
import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from spark_infer.errors import DeadlineError, ModelRefusedError
from spark_infer.models.files.store import ModelStore
from spark_infer.models.registry import download as download_module
from spark_infer.models.registry.download import TooManyBytesError, download
from spark_infer.models.registry.fetch import fetch
from spark_infer.models.registry.locate_model import Located
from spark_infer.models.registry.mlflow_calls import GivenUpError
from spark_infer.models.registry.servers import RemoteFolder

THREADS = ("spark_infer-download", "spark_infer-end")


@contextmanager
def endless(pause: float) -> Iterator[str]:
    """An artifact server that lists two small files and never ends to send them."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if "/mlflow-artifacts/artifacts" in self.path else 404)
            if "/mlflow-artifacts/artifacts" not in self.path:  # what the server can do besides
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            if "path=" in self.path or self.path.endswith("/artifacts"):
                files = [{"path": name, "is_dir": False, "file_size": 10} for name in ("MLmodel", "model.bin")]
                body = json.dumps({"files": files}).encode()
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                return
            self.end_headers()
            try:
                while True:
                    self.wfile.write(b"x" * 2**20)
                    time.sleep(pause)
            except OSError:
                self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def opened(location: str) -> RemoteFolder:
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    repository: RemoteFolder = get_artifact_repository(location)
    return repository


def downloading() -> list[str]:
    """The threads of downloads that are alive, once they had time to end."""
    end = time.monotonic() + 10
    while (names := [each.name for each in threading.enumerate() if each.name in THREADS]) and time.monotonic() < end:
        time.sleep(0.02)
    return names


def files_below(folder: Path) -> list[str]:
    """Descriptors of this process that lead below a folder."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue
        if target.startswith(str(folder)):
            found.append(target)
    return found


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*unclosed <socket:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # MLflow does not close what failed
@pytest.mark.parametrize(
    ("seconds", "pause", "error", "why"),
    [
        (0.5, 0.05, DeadlineError, "the files were not there in 0.5 seconds"),
        (60, 0.0, ModelRefusedError, "the download was stopped"),
    ],
)
def test_a_download_without_end_is_stopped_and_its_threads_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, pause: float, error: type[Exception], why: str
) -> None:
    monkeypatch.setattr(download_module, "_LOOK_SECONDS", 0.05)
    store = ModelStore(tmp_path / "store")
    with endless(pause) as address:
        located = Located(name="endless", location=f"mlflow-artifacts://{address}/model")
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://{address}")
        with pytest.raises(error, match=why):
            fetch(located, opened, store, seconds=seconds)
    assert downloading() == []
    gc.collect()
    assert files_below(tmp_path) == []
    assert [path for path in (tmp_path / "store").rglob("*") if path.is_file() and path.suffix != ".lock"] == []


def writes(folder: Path, stop: threading.Event) -> None:
    with (folder / "file").open("wb") as file:
        while not stop.is_set():
            file.write(b"x" * 2**16)
            time.sleep(0.001)


@pytest.mark.parametrize(("seconds", "most", "error"), [(0.1, 2**40, GivenUpError), (60.0, 10, TooManyBytesError)])
def test_a_writer_that_goes_on_is_ended_by_its_next_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, most: int, error: type[Exception]
) -> None:
    monkeypatch.setattr(download_module, "_LOOK_SECONDS", 0.02)
    (tmp_path / "to").mkdir()
    stop = threading.Event()
    with (tmp_path / "to beside").open("wb", buffering=0) as beside:
        with pytest.raises(error):
            download(partial(writes, tmp_path / "to", stop), tmp_path / "to", seconds=seconds, most_bytes=most)
        assert downloading() == []
        assert beside.write(b"still there") == 11
    assert not (tmp_path / "to").exists()
    stop.set()


def test_a_download_that_ends_in_time_is_whole_and_what_it_raises_is_raised(tmp_path: Path) -> None:
    download(partial((tmp_path / "a").write_bytes, b"abc"), tmp_path, seconds=10, most_bytes=3)
    assert (tmp_path / "a").read_bytes() == b"abc"
    with pytest.raises(TooManyBytesError):
        download(partial((tmp_path / "b").write_bytes, b"abc"), tmp_path, seconds=10, most_bytes=3)
    with pytest.raises(FileNotFoundError):
        download(partial((tmp_path / "no" / "a").write_bytes, b""), tmp_path, seconds=10, most_bytes=9)
