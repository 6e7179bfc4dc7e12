"""The registry behind a real `mlflow server`, which hands out the files itself."""

from __future__ import annotations

import logging
import os
import pickle
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from spark_infer.errors import DeadlineError, ModelFilesError, ModelNotFoundError, RegistryUnavailableError
from spark_infer.models.files.digest import folder_digest
from spark_infer.models.files.store import ModelStore
from spark_infer.models.registry.resolve import resolve
from tests.unit.models.registry.logged import Logged, logged_models, using
from tests.unit.models.registry.servers import mlflow_server, stop

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(
    logged: Logged, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Logged, subprocess.Popen[bytes], Path]]:
    """A server for what was logged without one; its files are said to be with the server."""
    folder = tmp_path_factory.mktemp("server")
    shutil.copytree(logged.artifacts, folder / "files")
    places = {
        "experiments": "artifact_location",
        "runs": "artifact_uri",
        "logged_models": "artifact_location",
        "model_versions": "storage_location",
    }
    if not logged.has_logged_models:
        del places["logged_models"]
    logged.copied(folder).change(
        *(
            f"update {table} set {column} = replace({column}, '{logged.artifacts.as_uri()}', 'mlflow-artifacts:')"
            for table, column in places.items()
        )
    )
    with mlflow_server(folder) as (address, process):
        yield replace(logged, tracking_uri=address), process, folder / "files"


@pytest.fixture
def served(server: tuple[Logged, subprocess.Popen[bytes], Path]) -> Logged:
    return server[0]


@pytest.fixture
def downloads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that MLflow downloads."""
    names: list[str] = []
    repository = _repository()
    real: Callable[[object, str, str], None] = repository._download_file

    def download(self: object, remote_file_path: str, local_path: str) -> None:
        names.append(remote_file_path)
        real(self, remote_file_path, local_path)

    monkeypatch.setattr(repository, "_download_file", download)
    return names


def _repository() -> Any:
    """MLflow's class that downloads from a server; in MLflow 2 the one for the HTTP address of its files."""
    from mlflow.store.artifact.http_artifact_repo import HttpArtifactRepository
    from mlflow.store.artifact.mlflow_artifacts_repo import MlflowArtifactsRepository

    return HttpArtifactRepository if version("mlflow").startswith("2.") else MlflowArtifactsRepository


def _files(logged: Logged) -> list[str]:
    return ["MLmodel", "conda.yaml", logged.model_file, "python_env.yaml", "requirements.txt"]


def _folder(files: Path, logged: Logged, number: int) -> Path:
    """The folder of a model's files on the server."""
    place = f"{logged.model_ids[number]}/artifacts" if logged.has_logged_models else ("first", "second")[number]
    (folder,) = files.glob(f"**/{place}")
    return folder


def test_a_model_for_which_there_is_no_room_is_refused_before_it_is_downloaded(
    served: Logged, store: ModelStore, downloads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "spark_infer.models.registry.fetch.shutil.disk_usage", lambda folder: SimpleNamespace(free=99, total=100)
    )
    with pytest.raises(ModelFilesError, match="is full"):
        resolve("models:/churn@champion", tracking_uri=served.tracking_uri, store=store)
    assert downloads == []


def test_a_registered_version_is_downloaded_once(served: Logged, store: ModelStore, downloads: list[str]) -> None:
    first = resolve("models:/churn@champion", tracking_uri=served.tracking_uri, store=store)
    assert first.source.startswith("mlflow-artifacts:/")
    assert sorted(downloads) == _files(served)
    assert sorted(path.name for path in store.path(first.digest).iterdir()) == _files(served)
    assert first.digest == folder_digest(store.path(first.digest))
    downloads.clear()
    assert resolve("models:/churn/1", tracking_uri=served.tracking_uri, store=store).digest == first.digest
    assert downloads == ["MLmodel"], "the one file that is compared"


@logged_models
def test_a_logged_model_is_remembered_and_a_run_is_not(served: Logged, store: ModelStore, downloads: list[str]) -> None:
    by_id = resolve(f"models:/{served.model_ids[1]}", tracking_uri=served.tracking_uri, store=store)
    assert (by_id.name, by_id.version) == ("second", by_id.digest[:12])
    downloads.clear()
    resolve(f"models:/{served.model_ids[1]}", tracking_uri=served.tracking_uri, store=store)
    assert downloads == ["MLmodel"]
    downloads.clear()
    by_run = resolve(f"runs:/{served.run_id}/second", tracking_uri=served.tracking_uri, store=store)
    assert by_run.digest == by_id.digest
    assert sorted(downloads) == _files(served)


def test_a_registry_uri_alone_serves_the_files_too(
    served: Logged, store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert resolve("models:/churn/1", registry_uri=served.tracking_uri, store=store).version == "1"


def test_another_server_in_mlflows_settings_is_not_asked(
    served: Logged, store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    with using("http://127.0.0.1:9"):
        before = (mlflow.get_tracking_uri(), mlflow.get_registry_uri(), dict(os.environ))
        assert resolve("models:/churn/1", tracking_uri=served.tracking_uri, store=store).version == "1"
        assert (mlflow.get_tracking_uri(), mlflow.get_registry_uri(), dict(os.environ)) == before


def test_a_download_that_takes_too_long_is_given_up_and_says_where_it_stood(
    served: Logged, store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = threading.Event()

    def stalls(self: object, remote_file_path: str, local_path: str) -> None:
        released.wait()

    monkeypatch.setattr(_repository(), "_download_file", stalls)
    with pytest.raises(DeadlineError, match=r"the files were not there in 0\.3 seconds") as stopped:
        resolve("models:/churn/1", tracking_uri=served.tracking_uri, store=store, download_seconds=0.3)
    released.set()
    assert "download_artifacts" in str(stopped.value)
    assert "model.download_seconds" in stopped.value.next_step


def test_a_download_damaged_in_the_store_is_fetched_again(
    served: Logged, store: ModelStore, downloads: list[str]
) -> None:
    ref = resolve("models:/churn/2", tracking_uri=served.tracking_uri, store=store)
    os.truncate(store.path(ref.digest) / served.model_file, 10)
    downloads.clear()
    again = resolve("models:/churn/2", tracking_uri=served.tracking_uri, store=store)
    assert again == ref
    assert folder_digest(store.path(ref.digest)) == ref.digest
    assert sorted(downloads) == sorted(["MLmodel", *_files(served)])


def test_a_version_whose_files_were_rewritten_all_the_same_is_noticed(
    server: tuple[Logged, subprocess.Popen[bytes], Path], store: ModelStore, caplog: pytest.LogCaptureFixture
) -> None:
    served, _, files = server
    before = resolve("models:/churn/2", tracking_uri=served.tracking_uri, store=store)
    mlmodel = _folder(files, served, 1) / "MLmodel"
    kept = mlmodel.read_text()
    try:
        mlmodel.write_text(kept.replace("predict_fn: predict\n", "predict_fn: predicT\n"))  # same size
        after = resolve("models:/churn/2", tracking_uri=served.tracking_uri, store=store)
    finally:
        mlmodel.write_text(kept)
    assert after.mlmodel.predict_fn == "predicT"
    assert (after.version, after.digest == before.digest) == ("2", False)
    assert "are not those seen before" in caplog.text


def test_files_that_are_gone_from_the_server_are_told(
    server: tuple[Logged, subprocess.Popen[bytes], Path], store: ModelStore
) -> None:
    served, _, files = server
    folder = _folder(files, served, 0)
    folder.rename(folder.with_name("aside"))
    try:
        with pytest.raises(
            ModelNotFoundError, match="files of 'churn' version 1 are not at mlflow-artifacts:"
        ) as caught:
            resolve("models:/churn/1", tracking_uri=served.tracking_uri, store=store)
        assert "nothing" in str(caught.value)
    finally:
        folder.with_name("aside").rename(folder)


def test_two_that_ask_for_a_new_version_at_once_download_it_once(
    served: Logged, store: ModelStore, downloads: list[str]
) -> None:
    def run() -> None:
        resolve("models:/churn/1", tracking_uri=served.tracking_uri, store=ModelStore(store.root))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert downloads.count(served.model_file) == 1


def test_no_secret_of_the_address_is_kept_or_said(
    served: Logged, store: ModelStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="spark_infer")
    ref = resolve("models:/churn/1", tracking_uri=served.secret_uri, store=store)
    with pytest.raises(ModelNotFoundError) as caught:
        resolve("models:/churn/77", tracking_uri=served.secret_uri, store=store)
    assert "hunter2" not in caplog.text + str(caught.value)
    assert b"hunter2" not in pickle.dumps(ref)
    for path in store.root.rglob("*"):
        assert not path.is_file() or b"hunter2" not in path.read_bytes()


def test_a_model_that_is_missing_on_the_server_is_told_with_what_is_there(served: Logged, store: ModelStore) -> None:
    with pytest.raises(ModelNotFoundError, match=r"did you mean 'champion'\?(.|\n)*versions: 2, 1"):
        resolve("models:/churn@champoin", tracking_uri=served.tracking_uri, store=store)
    with pytest.raises(ModelNotFoundError, match="in the run: first, notes, second"):
        resolve(f"runs:/{served.run_id}/third", tracking_uri=served.tracking_uri, store=store)


def test_the_store_survives_the_server_and_the_death_is_told_quickly(
    server: tuple[Logged, subprocess.Popen[bytes], Path], store: ModelStore, tmp_path: Path
) -> None:
    served, process, _ = server
    ref = resolve("models:/churn/1", tracking_uri=served.tracking_uri, store=store)
    stop(process)
    started = time.monotonic()
    with pytest.raises(RegistryUnavailableError, match=r"127\.0\.0\.1"):
        resolve("models:/churn/1", tracking_uri=served.tracking_uri, store=store)
    assert time.monotonic() - started < 16
    shutil.copytree(store.path(ref.digest), tmp_path / "by hand")
    assert resolve(str(tmp_path / "by hand"), store=store).digest == ref.digest
