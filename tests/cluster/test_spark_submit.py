"""The package's script under the real `spark-submit`, on a cluster whose nodes share nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
import warnings
from pathlib import Path

import deltalake
import mlflow
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mlflow.models import infer_signature

from spark_infer.tables.delta import delta_conf
from tests.cluster.conftest import Registry
from tests.cluster.standalone import Cluster

pytestmark = pytest.mark.slow

TWO_WORKERS = ["--executor-cores", "1", "--total-executor-cores", "2"]  # one on each node
ONE_WORKER = ["--total-executor-cores", "1"]
IDS = range(2**53, 2**53 + 300)
TABLE = pa.table({"id": IDS, "x": [float(n) for n in range(300)]})


def entry() -> str:
    """Return the script that the package has for `spark-submit`."""
    return subprocess.check_output([sys.executable, "-m", "spark_infer.job", "--path"], text=True).strip()


def environ(folder: Path, python: str = sys.executable) -> dict[str, str]:
    """Return the environment of the driver, which shares no store with the nodes."""
    return {
        "HOME": os.environ["HOME"],  # with the jars that --packages found before
        "PYSPARK_PYTHON": python,
        "SPARK_INFER_HOME": str(folder / "store"),
        "SPARK_LOCAL_DIRS": str(folder / "local"),
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }


@pytest.mark.matrix
def test_packages_alone_is_enough_for_delta_tables_and_a_model_of_an_mlflow_server(
    cluster: Cluster, registry: Registry, tmp_path: Path
) -> None:
    deltalake.write_deltalake(str(tmp_path / "source"), TABLE)
    (tmp_path / "job.yaml").write_text(
        f"name: line\nmodel:\n  uri: models:/line@champion\n  tracking_uri: {registry.address}\n"
        f"source: {tmp_path}/source\ntarget:\n  path: {tmp_path}/target\n  keep: [id]\n"
    )
    packages = ["--packages", delta_conf()["spark.jars.packages"]]
    done = cluster.submit(*TWO_WORKERS, *packages, entry(), "job.yaml", environ=environ(tmp_path), folder=tmp_path)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "line: 300 rows scored" in done.stdout
    assert "ship the model" in done.stdout
    scored = deltalake.DeltaTable(str(tmp_path / "target")).to_pyarrow_table().sort_by("id")
    assert scored["id"].to_pylist() == list(IDS)
    assert scored["prediction"].to_pylist() == pytest.approx([2.0 * n for n in range(300)])
    assert set(scored["model_version"].to_pylist()) == {"1"}


@pytest.fixture
def packed(tmp_path: Path) -> tuple[Path, Path]:
    """A virtual environment, as venv-pack would find it, and its archive; each has a factor of its own."""
    home = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", "--symlinks", str(home)], check=True)
    site = next(home.glob("lib/python*/site-packages"))
    # Everything that is too large to pack in a test comes from the environment of this process.
    (site / "installed.pth").write_text(f"import site; site.addsitedir({sysconfig.get_paths()['purelib']!r})\n")
    (site / "only_packed.py").write_text("FACTOR = 3.0\n")
    with tarfile.open(tmp_path / "env.tar.gz", "w:gz") as archive:
        archive.add(home, ".")
    (site / "only_packed.py").write_text("FACTOR = -1.0  # the driver's\n")
    return home, tmp_path / "env.tar.gz"


@pytest.mark.soak
def test_py_files_bring_a_preprocess_module_and_archives_the_workers_environment(
    cluster: Cluster, packed: tuple[Path, Path], tmp_path: Path
) -> None:
    home, archive = packed
    (tmp_path / "source").mkdir()
    pq.write_table(TABLE, tmp_path / "source" / "part-0.parquet")
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / "halved.py").write_text(
        "import pyarrow as pa\nimport pyarrow.compute as pc\n\n\n"
        "def halve(batch):\n    return pa.record_batch({'x': pc.divide(batch['x'], 2.0)})\n"
    )
    example = pd.DataFrame({"x": [0.0, 1.0]})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.pyfunc.save_model(
            tmp_path / "model",
            python_model=str(Path(__file__).parent / "models" / "packed.py"),
            signature=infer_signature(example, example["x"].rename("prediction")),
            pip_requirements=["pandas"],
        )
    (tmp_path / "job.yaml").write_text(
        f"name: packed\nmodel: {tmp_path}/model\nsource: {tmp_path}/source\n"
        f"target: {{path: {tmp_path}/target, format: parquet, keep: [id]}}\nscore: {{preprocess: 'halved:halve'}}\n"
    )
    options = ["--py-files", str(modules / "halved.py"), "--archives", f"{archive}#env"]
    drivers = environ(tmp_path, "./env/bin/python") | {"PYSPARK_DRIVER_PYTHON": str(home / "bin" / "python")}
    done = cluster.submit(*ONE_WORKER, *options, entry(), "job.yaml", environ=drivers, folder=tmp_path)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    scored = pq.read_table(tmp_path / "target").sort_by("id")
    assert scored["id"].to_pylist() == list(IDS)
    assert scored["prediction"].to_pylist() == [3.0 * n / 2 for n in range(300)]
