"""Every way of the model's files but Spark's own, on real folders and a real object store."""

from __future__ import annotations

import os
import pickle
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from spark_infer.errors import EnvironmentProblem, ModelFilesError
from spark_infer.models.files.distribution import ModelFiles, decide, deliver, open_folder
from spark_infer.models.files.store import ModelStore
from tests.unit.models.files.objectstore import ObjectStore, object_store, reaching
from tests.unit.models.registry.servers import answering


@pytest.fixture(scope="module")
def server() -> Iterator[ObjectStore]:
    with object_store() as running:
        yield running


@pytest.fixture
def objects(server: ObjectStore) -> Iterator[ObjectStore]:
    """The same server, with an empty bucket; this process reaches it by its environment alone."""
    server.files.delete_dir_contents("bucket")
    server.requests.clear()
    with reaching(server.environ):
        yield server


@pytest.fixture
def digest(store: ModelStore, folder: Path) -> str:
    return store.admit(folder)


@pytest.fixture
def mounted(tmp_path: Path) -> Path:
    made = tmp_path / "mounted"
    made.mkdir()
    return made


def _node(monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    monkeypatch.setenv("SPARK_INFER_HOME", str(root))


def _no_spark(name: str) -> Path:
    raise AssertionError("asked Spark for a file")


def _weights(found: Path) -> bytes:
    return (found / "model.skops").read_bytes()


def test_without_a_wish_workers_on_this_machine_read_the_drivers_store_and_others_are_sent_an_archive(
    store: ModelStore, digest: str
) -> None:
    here = decide("auto", digest, store, workers_here=True)
    assert (here.way, here.place) == ("same_node", str(store.root))
    assert open_folder(here, _no_spark) == store.path(digest)
    there = decide("auto", digest, store, workers_here=False)
    assert (there.way, there.place) == ("spark_files", f"spark_infer-{digest}.tar")


@pytest.mark.parametrize("spelled", ["{}", "file://{}"])
@pytest.mark.parametrize("here", [True, False])
def test_a_shared_folder_gets_one_copy_which_workers_read_in_place(
    store: ModelStore, digest: str, mounted: Path, tmp_path: Path, spelled: str, here: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    _node(monkeypatch, tmp_path / "node")
    files = decide(spelled.format(mounted), digest, store, workers_here=here)
    assert list(mounted.iterdir()) == [], "a decision writes nothing"
    assert (
        str(files)
        == f"{mounted}, a folder that every node mounts: the driver puts them there first, and are read in place"
    )
    deliver(files, store)
    found = open_folder(files, _no_spark)
    assert found.is_relative_to(mounted)
    assert _weights(found) == b"weights"
    assert not (tmp_path / "node").exists(), "the node keeps no copy"
    again = decide(str(mounted), digest, store, workers_here=False)
    assert again.there
    written = found.stat().st_ctime_ns
    deliver(again, store)
    assert found.stat().st_ctime_ns == written


def test_a_shared_folder_is_as_open_as_the_umask_says_and_may_be_open_to_all(
    store: ModelStore, digest: str, mounted: Path
) -> None:
    mounted.chmod(0o777)
    before = os.umask(0o022)
    try:
        files = decide(str(mounted), digest, store, workers_here=False)
        deliver(files, store)
    finally:
        os.umask(before)
    found = open_folder(files, _no_spark)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in found.rglob("*")}
    assert modes == {0o755, 0o644}, "workers may run as another user"


def test_a_model_that_lies_in_the_named_folder_is_used_there(store: ModelStore, digest: str, folder: Path) -> None:
    before = sorted(folder.rglob("*"))
    files = decide(str(folder), digest, store, workers_here=False)
    deliver(files, store)
    assert open_folder(files, _no_spark) == folder
    assert sorted(folder.rglob("*")) == before


def test_a_changed_shared_copy_is_never_loaded_and_is_mended_by_the_next_driver(
    store: ModelStore, digest: str, mounted: Path, new_process: Callable[[], None]
) -> None:
    files = decide(str(mounted), digest, store, workers_here=False)
    deliver(files, store)
    (open_folder(files, _no_spark) / "model.skops").write_bytes(b"WEIGHTS")
    new_process()
    with pytest.raises(ModelFilesError, match="does not hold the files of model"):
        open_folder(files, _no_spark)
    deliver(decide(str(mounted), digest, store, workers_here=False), store)
    assert _weights(open_folder(files, _no_spark)) == b"weights"


def test_a_node_that_does_not_mount_the_folder_says_so(store: ModelStore, digest: str, mounted: Path) -> None:
    files = decide(str(mounted), digest, store, workers_here=False)
    deliver(files, store)
    shutil.rmtree(mounted)
    with pytest.raises(ModelFilesError, match="On this node") as caught:
        open_folder(files, _no_spark)
    assert "mount the folder on every node" in caught.value.next_step
    assert not mounted.exists(), "a worker writes nothing"


def test_a_folder_that_is_not_there_not_a_folder_or_holds_another_model_is_refused_by_the_driver(
    store: ModelStore, digest: str, folder: Path, tmp_path: Path
) -> None:
    (folder / "model.skops").write_bytes(b"newer")
    (tmp_path / "file").touch()
    for named, complaint in {
        tmp_path / "nowhere": "there is none on the driver",
        tmp_path / "file": "there is none on the driver",
        folder: "holds another model",
    }.items():
        with pytest.raises(EnvironmentProblem, match=complaint):
            decide(str(named), digest, store, workers_here=False)


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_refused_by_the_driver(
    store: ModelStore, digest: str, mounted: Path
) -> None:
    mounted.chmod(0o500)
    with pytest.raises(EnvironmentProblem, match="cannot be written"):
        decide(str(mounted), digest, store, workers_here=False)


def test_a_folder_that_fails_while_it_is_written_is_refused_by_the_driver(
    store: ModelStore, digest: str, mounted: Path
) -> None:
    (mounted / "models").touch()
    files = ModelFiles(digest=digest, way="shared_folder", place=str(mounted), there=False)
    with pytest.raises(EnvironmentProblem, match="which model_files names, cannot be used"):
        deliver(files, store)


def test_an_object_store_gets_one_archive_and_each_node_downloads_it_once(
    objects: ObjectStore, store: ModelStore, digest: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"spark_infer-{digest}.tar"
    files = decide("s3://bucket/some/models", digest, store, workers_here=False)
    assert (files.way, files.there) == ("object_store", False)
    assert str(files) == (
        "s3://bucket/some/models: one archive is uploaded first, and each node downloads it once into its model store"
    )
    assert objects.count("PUT", name) + objects.count("POST", name) == 0, "a decision writes nothing"
    deliver(files, store)
    written = objects.count("PUT", name)
    assert written > 0
    for node in ("one", "two"):
        _node(monkeypatch, tmp_path / node)
        for _ in range(3):
            found = open_folder(files, _no_spark)
            assert found.is_relative_to(tmp_path / node)
            assert _weights(found) == b"weights"
    assert objects.count("GET", name) == 2, "one download for each node"
    again = decide("s3a://bucket/some/models/", digest, store, workers_here=False)
    assert again.there
    deliver(again, store)
    assert objects.count("PUT", name) == written, "what is there is not uploaded again"


def test_an_upload_that_was_cut_short_is_made_anew(
    objects: ObjectStore, store: ModelStore, digest: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with objects.files.open_output_stream(f"bucket/m/spark_infer-{digest}.tar") as half:
        half.write(b"\0" * 512)
    files = decide("s3://bucket/m", digest, store, workers_here=False)
    assert not files.there
    deliver(files, store)
    _node(monkeypatch, tmp_path / "node")
    assert _weights(open_folder(files, _no_spark)) == b"weights"


def test_credentials_stay_where_they_are(objects: ObjectStore, store: ModelStore, digest: str) -> None:
    files = decide("s3://bucket/m", digest, store, workers_here=False)
    assert b"hunter2" not in pickle.dumps(files)
    assert b"an-id" not in pickle.dumps(files)


def test_an_object_store_that_cannot_be_used_is_refused_by_the_driver(
    objects: ObjectStore, store: ModelStore, digest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(EnvironmentProblem, match="no bucket 'buckett'"):
        decide("s3://buckett/m", digest, store, workers_here=False)
    with pytest.raises(EnvironmentProblem, match="Unrecognized filesystem"):
        decide("ftp://bucket/m", digest, store, workers_here=False)
    with answering(403) as denying:
        monkeypatch.setenv("AWS_ENDPOINT_URL", denying)
        with pytest.raises(EnvironmentProblem, match=r"driver cannot use: .*ACCESS_DENIED") as caught:
            decide("s3://bucket/m", digest, store, workers_here=False)
    assert "credentials" in caught.value.next_step


def test_a_node_without_access_and_one_that_gets_other_files_say_so(
    objects: ObjectStore, store: ModelStore, digest: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _node(monkeypatch, tmp_path / "node")
    files = decide("s3://bucket/m", digest, store, workers_here=False)
    with pytest.raises(ModelFilesError, match="This node cannot read the model's files from s3://bucket/m"):
        open_folder(files, _no_spark)
    with objects.files.open_output_stream(f"bucket/m/spark_infer-{digest}.tar") as planted:
        planted.write(b"x" * 10_240)
    with pytest.raises(ModelFilesError, match="is damaged"):
        open_folder(files, _no_spark)
    assert list((tmp_path / "node" / "models" / "sha256").iterdir()) == []
