from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
import textwrap
import threading
from functools import partial
from pathlib import Path

import pytest

from spark_infer.errors import EnvironmentProblem, ModelNotFoundError, ModelRefusedError, RegistryUnavailableError
from spark_infer.models.files.digest import folder_digest
from spark_infer.models.files.store import ModelStore
from spark_infer.models.ref import ModelRef
from spark_infer.models.registry.resolve import require_listed, resolve
from tests.unit.models.registry.logged import Logged, logged_models, using
from tests.unit.models.registry.servers import answering


@pytest.fixture
def copied(logged: Logged, tmp_path: Path) -> Logged:
    return logged.copied(tmp_path)


def _source(ref: ModelRef) -> Path:
    return Path(ref.source.removeprefix("file://"))


def test_an_alias_becomes_an_exact_version_with_its_files_in_the_store(logged: Logged, store: ModelStore) -> None:
    ref = resolve("models:/churn@champion", tracking_uri=logged.tracking_uri, store=store)
    assert (ref.uri, ref.name, ref.version) == ("models:/churn@champion", "churn", "1")
    assert ref.flavors == ("python_function", "sklearn")
    assert ref.digest == folder_digest(_source(ref)) == folder_digest(store.path(ref.digest))
    assert ref.size_bytes == sum(path.stat().st_size for path in store.path(ref.digest).rglob("*"))
    assert ref.mlmodel.model_uuid == logged.model_ids[0]
    assert ref.mlmodel.run_id == logged.run_id
    assert ref.mlmodel.signature is not None
    assert ref.mlmodel.signature.names == ("a", "b")
    assert pickle.loads(pickle.dumps(ref)) == ref
    assert str(ref) == "churn version 1"


def test_the_stored_files_are_a_model_that_mlflow_loads(logged: Logged, store: ModelStore) -> None:
    import mlflow
    import pandas as pd

    ref = resolve("models:/churn/2", tracking_uri=logged.tracking_uri, store=store)
    model = mlflow.pyfunc.load_model(str(store.path(ref.digest)))
    assert list(model.predict(pd.DataFrame({"a": [0.0, 9.0], "b": [0.0, 1.0]}))) == [0, 1]


def test_version_and_latest_are_exact_and_every_name_of_a_model_has_one_digest(
    logged: Logged, store: ModelStore
) -> None:
    def found(uri: str) -> ModelRef:
        return resolve(uri, tracking_uri=logged.tracking_uri, store=store)

    first, second = found("models:/churn/1"), found("models:/churn/latest")
    assert (first.version, second.version) == ("1", "2")
    assert first.digest != second.digest
    by_run, by_path = found(f"runs:/{logged.run_id}/first"), found(str(_source(first)))
    by_file_uri = found(_source(first).as_uri())
    assert {by_run.digest, by_path.digest, by_file_uri.digest} == {first.digest}
    assert (by_run.name, by_path.name) == ("first", _source(first).name)
    assert by_run.version == by_path.version == first.digest[:12]
    if logged.has_logged_models:
        by_id = found(f"models:/{logged.model_ids[0]}")
        assert (by_id.digest, by_id.name, by_id.version) == (first.digest, "first", first.digest[:12])


def test_an_alias_is_looked_up_each_time(copied: Logged, store: ModelStore) -> None:
    import mlflow

    resolve("models:/churn@champion", tracking_uri=copied.tracking_uri, store=store)
    mlflow.MlflowClient(copied.tracking_uri).set_registered_model_alias("churn", "champion", "2")
    assert resolve("models:/churn@champion", tracking_uri=copied.tracking_uri, store=store).version == "2"


@pytest.mark.parametrize("older", ["", "client", "server"])
def test_files_of_a_run_that_are_no_logged_model_are_found(
    logged: Logged, store: ModelStore, monkeypatch: pytest.MonkeyPatch, older: str
) -> None:
    """MLflow 2 has no logged models; what a server of it answers to a search was seen with 2.22.5."""
    import mlflow
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import ENDPOINT_NOT_FOUND

    def no_such_call(*_: object, **__: object) -> None:
        raise MlflowException("API request failed with error code 404 != 200", error_code=ENDPOINT_NOT_FOUND)

    first = resolve("models:/churn/1", tracking_uri=logged.tracking_uri, store=store)
    client = mlflow.MlflowClient(logged.tracking_uri)
    run_id = client.create_run(client.get_run(logged.run_id).info.experiment_id).info.run_id
    client.log_artifacts(run_id, str(_source(first)), "by_hand/model")
    if older == "client":
        monkeypatch.delattr(mlflow.MlflowClient, "search_logged_models", raising=False)
    elif older == "server":
        monkeypatch.setattr(mlflow.MlflowClient, "search_logged_models", no_such_call, raising=False)
    by_hand = resolve(f"runs:/{run_id}/by_hand/model", tracking_uri=logged.tracking_uri, store=store)
    assert by_hand.digest == first.digest
    with pytest.raises(ModelNotFoundError, match="no model 'by_hand'"):
        resolve(f"runs:/{run_id}/by_hand", tracking_uri=logged.tracking_uri, store=store)


def test_a_logged_model_is_refused_where_an_older_mlflow_is_installed(
    logged: Logged, store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    monkeypatch.delattr(mlflow.MlflowClient, "get_logged_model", raising=False)
    with pytest.raises(EnvironmentProblem, match="'m-12', a logged model of MLflow 3"):
        resolve("models:/m-12", tracking_uri=logged.tracking_uri, store=store)


def test_the_files_that_mlflow_keeps_are_not_touched(logged: Logged, store: ModelStore) -> None:
    ref = resolve("models:/churn/1", tracking_uri=logged.tracking_uri, store=store)
    names = sorted(path.name for path in _source(ref).rglob("*"))
    assert names == ["MLmodel", "conda.yaml", logged.model_file, "python_env.yaml", "requirements.txt"]


def test_a_local_model_that_was_changed_in_place_is_another_model(
    logged: Logged, store: ModelStore, tmp_path: Path
) -> None:
    ref = resolve("models:/churn/1", tracking_uri=logged.tracking_uri, store=store)
    shutil.copytree(_source(ref), tmp_path / "copy")
    before = resolve(str(tmp_path / "copy"), store=store)
    (tmp_path / "copy" / "requirements.txt").write_text("")
    after = resolve(str(tmp_path / "copy"), store=store)
    assert before.digest == ref.digest != after.digest
    assert (before.name, before.version) == ("copy", ref.digest[:12])


@pytest.mark.parametrize(
    ("uri", "lines"),
    [
        ("models:/chrun/1", ["no model 'chrun' (did you mean 'churn'?)", "models there: churn, empty"]),
        ("models:/Churn@champion", ["no model 'Churn' (did you mean 'churn'?)"]),
        (
            "models:/churn@champoin",
            ["no alias 'champoin' (did you mean 'champion'?)", "aliases: champion (version 1)", "versions: 2, 1"],
        ),
        ("models:/churn/9", ["no version 9", "aliases: champion (version 1)", "versions: 2, 1"]),
        ("models:/empty/latest", ["no version at all", "aliases: none", "versions: none"]),
        ("models:/o'clock/1", ['no model "o\'clock"']),
        pytest.param(
            "models:/m-0123456789abcdef0123456789abcdef",
            ["no model 'm-0123456789abcdef0123456789abcdef'"],
            marks=logged_models,
        ),
        ("runs:/0123456789abcdef0123456789abcdef/x", ["no run '0123456789abcdef0123456789abcdef'"]),
        ("runs:/{run}/frist", ["no model 'frist' (did you mean 'first'?)", "in the run: first, notes, second"]),
        ("runs:/{run}", ["no model ''", "in the run: first, notes, second"]),
        ("runs:/{run}/notes", ["no model 'notes'"]),
    ],
)
def test_what_is_not_there_is_told_with_what_is(copied: Logged, store: ModelStore, uri: str, lines: list[str]) -> None:
    with pytest.raises(ModelNotFoundError) as caught:
        resolve(uri.format(run=copied.run_id), tracking_uri=copied.tracking_uri, store=store)
    for line in lines:
        assert line in str(caught.value)
    assert caught.value.next_step


def test_a_version_that_is_still_being_registered_is_refused(copied: Logged, store: ModelStore) -> None:
    copied.change("update model_versions set status = 'PENDING_REGISTRATION' where version = 2")
    with pytest.raises(ModelNotFoundError, match="not ready: PENDING_REGISTRATION"):
        resolve("models:/churn/2", tracking_uri=copied.tracking_uri, store=store)


def test_a_version_whose_files_are_gone_says_where_they_should_be(
    copied: Logged, store: ModelStore, tmp_path: Path
) -> None:
    copied.change(f"update model_versions set storage_location = '{tmp_path}/deleted'")
    with pytest.raises(ModelNotFoundError, match=r"files of 'churn' version 1 are not at .*/deleted") as caught:
        resolve("models:/churn/1", tracking_uri=copied.tracking_uri, store=store)
    assert "There is no folder" in str(caught.value)


@pytest.mark.parametrize(
    "location", ["http://169.254.169.254/latest", "ftp://elsewhere/x", "mlflow-artifacts://elsewhere/x"]
)
def test_a_registry_entry_cannot_send_the_driver_elsewhere(copied: Logged, store: ModelStore, location: str) -> None:
    copied.change(f"update model_versions set storage_location = '{location}'")
    with pytest.raises(ModelRefusedError):
        resolve("models:/churn/1", tracking_uri=copied.tracking_uri, store=store)


def test_a_server_over_http_names_a_folder_of_this_machine_only_where_the_user_allows_it(
    logged: Logged, store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = _source(resolve("models:/churn/1", tracking_uri=logged.tracking_uri, store=store))
    version = {"name": "churn", "version": "1", "status": "READY", "source": str(folder), "run_id": "r"}
    run = {
        "info": {"run_id": "r", "experiment_id": "1", "artifact_uri": f"file://{folder.parent}", "status": "FINISHED"}
    }
    body = json.dumps({"model_version": version, "artifact_uri": str(folder), "run": run, "models": []}).encode()
    before = sorted(store.root.rglob("*"))
    with answering(200, body, {"Content-Type": "application/json"}) as address:
        for uri in ("models:/churn/1", f"runs:/r/{folder.name}"):
            for find in (partial(require_listed, uri), partial(resolve, uri, store=store)):
                with pytest.raises(ModelRefusedError, match="a server over HTTP may not name one"):
                    find(tracking_uri=address)
        assert sorted(store.root.rglob("*")) == before
        monkeypatch.setenv("SPARK_INFER_REGISTRY_FOLDERS", f"/mnt/models:{folder.parent}")
        assert resolve("models:/churn/1", tracking_uri=address, store=store).version == "1"


def test_an_object_store_without_its_client_names_the_package(
    copied: Logged, store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)  # as if it were not installed
    copied.change("update model_versions set storage_location = 's3://key:hunter2@bucket/x'")
    with pytest.raises(EnvironmentProblem, match=r"s3://bucket/x needs the Python package 'boto3'"):
        resolve("models:/churn/1", tracking_uri=copied.tracking_uri, store=store)
    with pytest.raises(EnvironmentProblem, match="'boto3'"):
        resolve("s3://bucket/x", tracking_uri=copied.tracking_uri, store=store)


def test_mlflows_settings_and_the_environment_stay_as_they_were(
    logged: Logged, store: ModelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    monkeypatch.chdir(tmp_path)
    before = (mlflow.get_tracking_uri(), mlflow.get_registry_uri(), dict(os.environ))
    resolve("models:/churn@champion", tracking_uri=logged.tracking_uri, store=store)
    resolve(f"runs:/{logged.run_id}/first", tracking_uri=logged.tracking_uri, store=store)
    with pytest.raises(ModelNotFoundError):
        resolve("models:/none/1", tracking_uri=logged.tracking_uri, store=store)
    assert (mlflow.get_tracking_uri(), mlflow.get_registry_uri(), dict(os.environ)) == before
    assert {path.name for path in tmp_path.iterdir()} == {"store"}


def test_without_an_address_mlflows_own_setting_is_used(logged: Logged, store: ModelStore) -> None:
    with using(logged.tracking_uri):
        assert resolve("models:/churn/1", store=store).version == "1"


def test_a_tracking_uri_that_was_given_wins_over_mlflows_registry_setting(
    logged: Logged, store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", "http://127.0.0.1:9")
    assert resolve("models:/churn/1", tracking_uri=logged.tracking_uri, store=store).version == "1"


def test_a_registry_uri_alone_is_enough_and_makes_no_database_elsewhere(
    logged: Logged, store: ModelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.chdir(tmp_path)
    assert resolve("models:/churn/1", registry_uri=logged.tracking_uri, store=store).version == "1"
    assert not (tmp_path / "mlflow.db").exists()


def test_with_nothing_set_at_all_the_setting_to_make_is_named(
    store: ModelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RegistryUnavailableError, match=r"no MLflow (database .*/mlflow.db|store .*/mlruns)") as caught:
        resolve("models:/churn/1", store=store)
    assert "MLFLOW_TRACKING_URI" in caught.value.next_step
    assert list(tmp_path.iterdir()) == []


def test_threads_may_resolve_at_the_same_time(logged: Logged, store: ModelStore) -> None:
    environ, found = dict(os.environ), []

    def run(version: int) -> None:
        found.append(resolve(f"models:/churn/{version}", tracking_uri=logged.tracking_uri, store=store).version)

    threads = [threading.Thread(target=run, args=(1 + number % 2,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == ["1", "1", "2", "2"]
    assert dict(os.environ) == environ


def test_a_folder_needs_no_mlflow_and_does_not_load_it(folder: Path, tmp_path: Path) -> None:
    program = textwrap.dedent(f"""
        import sys
        from pathlib import Path
        from spark_infer.models.registry.resolve import require_listed, resolve
        from spark_infer.models.files.store import ModelStore

        sys.modules["mlflow"] = None  # as if it were not installed
        ref = resolve({str(folder)!r}, store=ModelStore(Path({str(tmp_path / "store")!r})))
        print(ref.name, ref.mlmodel.predict_fn)
        heavy = {{"pandas", "sklearn", "pyspark", "torch"}} & set(sys.modules)
        assert not heavy, heavy
        try:
            resolve("models:/churn/1", store=ModelStore(Path({str(tmp_path / "store")!r})))
        except Exception as error:
            print(type(error).__name__, error)
    """)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[0] == "churn predict_proba"
    assert "EnvironmentProblem 'models:/churn/1' needs MLflow, which is not installed here." in done.stdout
    assert "spark-infer[mlflow]" in done.stdout


def test_a_folder_that_is_no_model_says_what_it_holds(store: ModelStore, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.csv").touch()
    with pytest.raises(ModelNotFoundError, match=r"holds no MLmodel file.*\n.*found instead: a.csv"):
        resolve(str(tmp_path / "data"), store=store)
    assert not store.root.exists()


def test_secrets_of_a_database_address_are_kept(logged: Logged, store: ModelStore) -> None:
    ref = resolve("models:/churn/1", tracking_uri=logged.secret_uri, store=store)
    assert b"hunter2" not in pickle.dumps(ref)
    with pytest.raises(ModelNotFoundError) as caught:
        resolve("models:/none/1", tracking_uri=logged.secret_uri, store=store)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "uri",
    [
        "models:/churn@nobody",
        "models:/churn/99",
        "models:/chrun/1",
        pytest.param("models:/m-none", marks=logged_models),
        "runs:/none/model",
    ],
)
def test_what_is_not_listed_is_known_without_its_files(logged: Logged, tmp_path: Path, uri: str) -> None:
    with pytest.raises(ModelNotFoundError):
        require_listed(uri, tracking_uri=logged.tracking_uri)
    with pytest.raises(ModelNotFoundError):
        require_listed(str(tmp_path / "none"))


def test_what_is_listed_passes_and_databricks_is_not_asked(logged: Logged, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [f"models:/churn/{version}" for version in ("1", "latest")]
    found += [f"models:/{logged.model_ids[0]}"] if logged.has_logged_models else []
    for uri in (*found, "models:/churn@champion", f"runs:/{logged.run_id}/model"):
        require_listed(uri, tracking_uri=logged.tracking_uri)
    monkeypatch.setenv("DATABRICKS_HOST", "https://127.0.0.1:1")
    for place in ({"tracking_uri": "databricks"}, {"registry_uri": "databricks-uc"}, {"registry_uri": "uc:profile"}):
        require_listed("models:/main.churn.model@nobody", **place)
