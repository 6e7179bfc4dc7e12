"""Where a registry may say that a model's files are."""

from __future__ import annotations

from pathlib import Path

import pytest

from spark_infer.errors import ModelNotFoundError, ModelRefusedError
from spark_infer.models.registry.locate_model import check_location

_SERVERS = ("https://me:pw@mlflow.corp:5000", "sqlite:////a.db")


@pytest.mark.parametrize(
    "location",
    ["s3://b/k", "mlflow-artifacts:/1/models", "mlflow-artifacts://mlflow.corp:5000/x", "https://mlflow.corp:5000/x"],
)
def test_files_are_fetched_from_object_stores_and_the_server_in_use(location: str) -> None:
    check_location(location, _SERVERS, by_user=False)


@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/latest/meta-data",
        "https://mlflow.corp/x",
        "https://mlflow.corp:5000@evil/x",
        "mlflow-artifacts://evil/x",
        "http:///x",
        "ftp://host/x",
        "sftp://host/x",
        "gopher://host/x",
    ],
)
def test_a_registry_cannot_send_requests_anywhere_else(location: str) -> None:
    with pytest.raises(ModelRefusedError):
        check_location(location, _SERVERS, by_user=False)


def test_a_user_may_name_an_address_that_a_plugin_knows_but_no_other_web_server() -> None:
    check_location("oss://bucket/x", _SERVERS, by_user=True)
    with pytest.raises(ModelRefusedError, match="not the MLflow server in use"):
        check_location("http://elsewhere/x", _SERVERS, by_user=True)


@pytest.mark.parametrize(
    "location", ["/home/me/model", "file:///home/me/model", "relative/model", "~/model", "../x", ""]
)
@pytest.mark.parametrize("servers", [_SERVERS, tuple(reversed(_SERVERS)), ("http://127.0.0.1:5000",)])
def test_a_server_over_http_names_no_folder_of_this_machine(location: str, servers: tuple[str, ...]) -> None:
    with pytest.raises((ModelRefusedError, ModelNotFoundError)) as refused:
        check_location(location, servers, by_user=False)
    assert "pw" not in str(refused.value)


def test_a_folder_that_the_server_shares_is_allowed_by_name(tmp_path: Path) -> None:
    shared, other = tmp_path / "shared", tmp_path / "shared-not"
    for folder in (shared, other):
        (folder / "model").mkdir(parents=True)
    (shared / "link").symlink_to(other / "model")
    (tmp_path / "mount").symlink_to(shared)
    for folder in (shared, tmp_path / "mount"):
        for location in (f"{shared}/model", f"file://{shared}/model", f"{tmp_path}/mount/model"):
            check_location(location, _SERVERS, by_user=False, folders=["/elsewhere", str(folder)])
    for location in (f"{other}/model", f"{shared}/../shared-not/model", f"{shared}/link", f"{shared}/../x"):
        with pytest.raises(ModelRefusedError, match="SPARK_INFER_REGISTRY_FOLDERS"):
            check_location(location, _SERVERS, by_user=False, folders=[str(shared)])


@pytest.mark.parametrize("server", ["sqlite:///mlflow.db", "file:///mlruns", "/mlruns", "postgresql://db/mlflow"])
def test_a_registry_of_this_machine_or_a_database_names_folders(server: str) -> None:
    check_location("/home/me/model", (server, server), by_user=False)
