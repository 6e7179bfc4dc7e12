"""One standalone cluster of two nodes, one object store and one MLflow server for all these tests."""

from __future__ import annotations

import os
import shutil
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from mlflow.models import infer_signature
from sklearn.linear_model import LinearRegression

from tests.cluster.driver import Driver
from tests.cluster.standalone import LIGHT, Cluster, Node, standalone
from tests.database import new_database
from tests.light_skops import import_skops
from tests.older_mlflow import named
from tests.spark.made import CountingModel
from tests.unit.models.files.objectstore import ObjectStore, object_store
from tests.unit.models.registry.logged import using
from tests.unit.models.registry.servers import mlflow_server

COUNTING = Path(__file__).parents[1] / "spark" / "models" / "counting.py"


@dataclass(frozen=True)
class Registry:
    """The address of an `mlflow server`; it has `line@champion`, which doubles `x`."""

    address: str


@pytest.fixture(scope="session")
def bucket() -> Iterator[ObjectStore]:
    """An object store; the nodes and the driver reach it by their environment."""
    with object_store() as running:
        yield running


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory, bucket: ObjectStore) -> Iterator[Cluster]:
    """Nodes of two cores and of one. The first has a store of its own; the second has not even a home folder."""
    folder = tmp_path_factory.mktemp("cluster")
    one, two = folder / "one", folder / "two"
    shared = {**bucket.environ, "SPARK_INFER_LOG_LEVEL": "WARNING"}
    nodes = [
        Node(folder=one, environ={**shared, "SPARK_INFER_HOME": str(one / "store")}),
        Node(folder=two, environ={**shared, "HOME": "/dev/null"}, cores=1),
    ]
    with standalone(folder, nodes) as running:
        yield running


@pytest.fixture(scope="module")
def driver(cluster: Cluster, bucket: ObjectStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    """An application on all cores of the cluster: no other one gets any before the module is done."""
    folder = tmp_path_factory.mktemp("driver")
    conf = {
        **LIGHT,
        "spark.master": cluster.master,
        "spark.app.name": "spark-infer cluster tests",
    }
    environ = {
        **bucket.environ,
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_LOCAL_DIRS": str(folder / "local"),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_INFER_HOME": str(folder / "store"),
    }
    running = Driver(conf, environ)
    yield running
    running.close()


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A real server over HTTP: SQLite below it, and the artifacts through it."""
    rows = pd.DataFrame({"x": [0.0, 1.0, 2.0]})
    fitted = LinearRegression().fit(rows, 2 * rows.x)
    folder = tmp_path_factory.mktemp("registry")
    new_database(folder / "mlflow.db")
    with mlflow_server(folder) as (address, _):
        with using(address), warnings.catch_warnings(), mlflow.start_run():
            warnings.simplefilter("ignore")
            import_skops()
            mlflow.sklearn.log_model(
                fitted,
                **named("line"),
                registered_model_name="line",
                signature=infer_signature(rows, fitted.predict(rows)),
                pip_requirements=["scikit-learn"],
            )
            mlflow.MlflowClient().set_registered_model_alias("line", "champion", "1")
        yield Registry(address)


@pytest.fixture(scope="session")
def counting_model(tmp_path_factory: pytest.TempPathFactory) -> CountingModel:
    """A pyfunc that notes each load and each predict in a file that all nodes of this machine see."""
    folder = tmp_path_factory.mktemp("counting")
    log, where = folder / "log", folder / "where.txt"
    log.write_text("")
    where.write_text(str(log))
    example = pd.DataFrame({"x": [0.0, 1.0]})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.pyfunc.save_model(
            folder / "model",
            python_model=str(COUNTING),
            artifacts={"log": str(where)},
            signature=infer_signature(example, (example["x"] * 2).rename("prediction")),
            pip_requirements=["pandas"],
        )
    log.write_text("")
    return CountingModel(str(folder / "model"), log)


@pytest.fixture
def counting(counting_model: CountingModel, tmp_path: Path) -> CountingModel:
    """The same model with a digest of its own, so that no node has its files and no worker has it loaded."""
    folder = tmp_path / "counting"
    shutil.copytree(counting_model.folder, folder)
    (folder / "note.txt").write_text(os.urandom(8).hex())
    counting_model.forget()
    return CountingModel(str(folder), counting_model.log)
