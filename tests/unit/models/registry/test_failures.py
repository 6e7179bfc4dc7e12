"""Registries that are dead, slow, wrong or closed: real sockets on the loopback, each answered in bounded time."""

from __future__ import annotations

import importlib
import logging
import sqlite3
import time
import traceback
from collections.abc import Iterator
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from spark_infer.errors import RegistryUnavailableError, SparkInferError
from spark_infer.models.files.store import ModelStore
from spark_infer.models.registry import mlflow_calls
from spark_infer.models.registry.mlflow_calls import translated
from spark_infer.models.registry.resolve import resolve
from tests.unit.models.registry.logged import logged_models
from tests.unit.models.registry.servers import answering, dripping, free_port, silent


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


@pytest.fixture(autouse=True)
def _loaded() -> None:
    importlib.import_module("mlflow.tracking")  # its seconds are not the server's


def _refused(uri: str, address: str, store: ModelStore, **more: Any) -> tuple[RegistryUnavailableError, float]:
    started = time.monotonic()
    with pytest.raises(RegistryUnavailableError) as caught:
        resolve(uri, tracking_uri=address, store=store, **more)
    assert caught.value.next_step
    assert not store.root.exists()
    return caught.value, time.monotonic() - started


@pytest.mark.parametrize(
    "uri",
    ["models:/churn@champion", "models:/churn/latest", pytest.param("models:/m-0", marks=logged_models), "runs:/r/x"],
)
def test_a_dead_server_is_named_at_once(store: ModelStore, uri: str) -> None:
    error, seconds = _refused(uri, f"http://127.0.0.1:{free_port()}", store)
    assert "127.0.0.1" in error.what
    assert "does not answer" in error.what
    assert seconds < 5


def test_a_server_that_says_nothing_is_given_up_on(
    store: ModelStore, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    error, seconds = _refused("models:/churn/1", stack.enter_context(silent()), store)
    assert "does not answer" in error.what
    assert seconds < 5


def test_a_server_that_drips_is_given_up_on(
    store: ModelStore, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mlflow_calls, "_QUESTION_SECONDS", 1.0)
    error, seconds = _refused("models:/churn/1", stack.enter_context(dripping()), store)
    assert "no answer in 1 seconds" in error.what
    assert "MLFLOW_HTTP_REQUEST_TIMEOUT" in error.next_step
    assert seconds < 5


def test_a_server_that_asks_for_an_hour_does_not_get_it(store: ModelStore, stack: ExitStack) -> None:
    address = stack.enter_context(answering(503, b"busy", {"Retry-After": "3600"}))
    _, seconds = _refused("models:/churn/1", address, store)
    assert seconds < 5


@pytest.mark.parametrize(
    ("status", "body", "headers", "said"),
    [
        (500, b"oops", {}, "does not answer as it should"),
        (500, b'{"error_code": "INTERNAL_ERROR", "message": "database is gone"}', {}, "does not answer as it should"),
        (200, b"<html>a login page</html>", {}, "does not answer as it should"),
        (404, b"<html>nothing here</html>", {}, "not as an MLflow server"),
        (401, b"who are you?", {}, "Permission denied"),
        (403, b'{"error_code": "PERMISSION_DENIED", "message": "no"}', {}, "Permission denied"),
        (302, b"", {"Location": "http://169.254.169.254/"}, "redirects to another address"),
    ],
)
def test_wrong_answers_are_told_apart(
    store: ModelStore, stack: ExitStack, status: int, body: bytes, headers: dict[str, str], said: str
) -> None:
    error, seconds = _refused("models:/churn/1", stack.enter_context(answering(status, body, headers)), store)
    assert said in error.what
    assert seconds < 5


def test_a_database_without_its_driver_names_the_package(store: ModelStore) -> None:
    address = f"mysql+oursql://me:hunter2@127.0.0.1:{free_port()}/mlflow"
    with pytest.raises(SparkInferError) as caught:
        resolve("models:/churn/1", tracking_uri=address, store=store)
    assert "oursql" in str(caught.value)
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


def test_a_damaged_database_is_named_at_once(store: ModelStore, tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"\0" * 5000)
    error, seconds = _refused("models:/churn/1", f"sqlite:///{tmp_path}/mlflow.db", store)
    assert "cannot be read: file is not a database" in error.what
    assert seconds < 5


@pytest.mark.skipif(version("mlflow").startswith("2."), reason="MLflow 2 reads such folders")
def test_a_folder_as_tracking_uri_is_answered_with_mlflows_words(store: ModelStore, tmp_path: Path) -> None:
    (tmp_path / "mlruns" / "0").mkdir(parents=True)
    (tmp_path / "mlruns" / "0" / "meta.yaml").touch()
    before = list(tmp_path.rglob("*"))
    error, _ = _refused("models:/churn/1", str(tmp_path / "mlruns"), store)
    assert "MlflowException" in str(error)
    assert list(tmp_path.rglob("*")) == before


def test_secrets_show_in_no_message_traceback_or_log(
    store: ModelStore, stack: ExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="spark_infer")
    good = stack.enter_context(answering(500, b"see https://me:hunter2@elsewhere/?token=hunter2"))
    for address in (good, f"http://127.0.0.1:{free_port()}", stack.enter_context(answering(403, b"no"))):
        secret = address.replace("http://", "http://me:hunter2@")
        error, _ = _refused("models:/churn/1", secret, store)
        assert "hunter2" not in "".join(traceback.format_exception(error))
    assert "hunter2" not in caplog.text


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (Exception("An error occurred (AccessDenied) when calling the ListObjectsV2 operation"), "Permission denied"),
        (Exception("Unable to locate credentials"), "Permission denied"),
        (Exception("403 Client Error: Forbidden for url: http://h/x"), "Permission denied"),
        (PermissionError(13, "Permission denied"), "Permission denied"),
        (Exception("An error occurred (NoSuchBucket) when calling"), "does not exist"),
        (Exception("404 Client Error: NOT FOUND for url: http://h/x"), "does not answer as it should"),
        (sqlite3.OperationalError("database is locked"), "does not answer as it should"),
    ],
)
def test_what_object_stores_say_is_understood(error: Exception, kind: str) -> None:
    assert kind in str(translated(error, "s3://bucket/x"))


def test_a_full_disk_during_a_download_is_left_to_the_store() -> None:
    wrapped = Exception("The following failures occurred: [Errno 28] No space left on device")
    assert isinstance(translated(wrapped, "s3://bucket/x"), OSError)


def test_long_and_secret_texts_are_cut() -> None:
    shown = str(translated(Exception("https://k:hunter2@h/?x=hunter2 " + "y" * 5000), "s3://k:hunter2@b"))
    assert "hunter2" not in shown
    assert len(shown) < 500
