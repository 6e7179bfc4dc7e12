"""How model files reach two nodes that share nothing, how often they are loaded there, and what the nodes lack."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import spark_infer
from spark_infer.errors import EnvironmentProblem, RunError
from spark_infer.models.files.digest import folder_digest
from tests.cluster.driver import Driver, spark
from tests.cluster.standalone import Cluster
from tests.spark.lacking import python_without
from tests.spark.made import CountingModel
from tests.unit.models.files.objectstore import ObjectStore

pytestmark = pytest.mark.slow

ROWS = 4_000
DOUBLED = ROWS * (ROWS - 1)  # twice the sum of 0 to ROWS - 1


def score_range(model: str, partitions: int, model_files: str = "auto") -> float:
    """Score `ROWS` rows and return the sum of the predictions."""
    from pyspark.sql import functions as F

    from spark_infer import score

    frame = spark().range(0, ROWS, 1, partitions).select(F.col("id").cast("double").alias("x"))
    ((total,),) = score(frame, model, model_files=model_files).agg(F.sum("prediction")).collect()
    return float(total)


def run_with_python(model: str, folder: str, python: str) -> None:
    """Run a table job whose workers shall use a Python of that path."""
    from spark_infer import score_table

    spark().range(3).selectExpr("double(id) as x").write.mode("ignore").parquet(f"{folder}/source")
    context = spark().sparkContext
    before, context.pythonExec = context.pythonExec, python
    try:
        score_table(spark(), source=f"{folder}/source", target={"path": f"{folder}/target"}, model=model)
    finally:
        context.pythonExec = before


def planned(model: str, folder: str, model_files: str) -> str:
    """Return what `plan` says about the model's files."""
    from spark_infer import ScoringJob
    from spark_infer.config import JobConfig

    spark().range(3).selectExpr("double(id) as x").write.mode("ignore").parquet(f"{folder}/source")
    config = {
        "model": {"uri": model},
        "source": {"path": f"{folder}/source"},
        "target": {"path": f"{folder}/target"},
        "score": {"model_files": model_files},
    }
    return ScoringJob(JobConfig.model_validate(config)).plan(spark()).model_files


def copies(cluster: Cluster, model: CountingModel) -> list[Path]:
    """Return the copies of a model in the stores of each node, the second node's being its scratch folder."""
    digest = folder_digest(Path(model.folder))
    one, two = (node.folder for node in cluster.nodes)
    return [*one.glob(f"store/models/sha256/{digest}"), *two.glob(f"local/**/spark_infer/models/sha256/{digest}")]


def fetches(cluster: Cluster, digest: str) -> list[int]:
    """Return how often the executors of each node were sent the archive of a model."""
    return [
        sum(log.read_text().count(f"/files/spark_infer-{digest}.tar to ") for log in node.executor_logs)
        for node in cluster.nodes
    ]


@pytest.mark.parametrize("partitions", [40, pytest.param(200, marks=pytest.mark.soak)])
def test_a_model_is_sent_once_to_each_node_and_loaded_once_by_each_worker(
    driver: Driver, cluster: Cluster, counting: CountingModel, partitions: int
) -> None:
    assert driver(score_range, counting.folder, partitions) == DOUBLED
    workers = {pid for pid, _ in counting.predicts()}
    assert counting.rows() == ROWS
    # The driver loads the model nowhere: its signature says what it returns.
    assert sorted(counting.loads()) == sorted(workers)
    assert 2 <= len(workers) <= 3, "two nodes with three cores"
    assert len(copies(cluster, counting)) == 2
    assert fetches(cluster, folder_digest(Path(counting.folder))) == [1, 1]
    # A second query finds the files on the nodes and the model in the workers.
    assert driver(score_range, counting.folder, 20) == DOUBLED
    assert len(counting.loads()) == len({pid for pid, _ in counting.predicts()})
    assert fetches(cluster, folder_digest(Path(counting.folder))) == [1, 1]


def test_a_node_without_a_home_keeps_the_model_in_its_scratch_folder_and_its_log_says_why(
    driver: Driver, cluster: Cluster, counting: CountingModel
) -> None:
    driver(score_range, counting.folder, 8)
    kept, scratch = copies(cluster, counting)
    assert kept.is_relative_to(cluster.nodes[0].folder / "store")
    assert scratch.is_relative_to(cluster.nodes[1].folder / "local")
    first, second = ("".join(log.read_text() for log in node.executor_logs) for node in cluster.nodes)
    said = "Model files are kept in the executor's scratch folder"
    assert said in second
    assert said not in first


def test_from_an_object_store_each_node_downloads_the_model_once(
    driver: Driver, cluster: Cluster, counting: CountingModel, bucket: ObjectStore, tmp_path: Path
) -> None:
    archive = f"spark_infer-{folder_digest(Path(counting.folder))}.tar"
    told = driver(planned, counting.folder, str(tmp_path), "s3://bucket/models")
    assert told.startswith("s3://bucket/models: one archive is uploaded first")
    assert bucket.count("PUT", archive) == 0, "a plan changes nothing"
    bucket.requests.clear()
    assert driver(score_range, counting.folder, 40, "s3://bucket/models") == DOUBLED
    assert bucket.count("PUT", archive) == 1
    assert bucket.count("GET", archive) == 2, "two nodes, however many workers and tasks"
    assert len(copies(cluster, counting)) == 2
    assert sorted(counting.loads()) == sorted({pid for pid, _ in counting.predicts()})


def test_on_shared_storage_workers_read_the_model_in_place(
    driver: Driver, cluster: Cluster, counting: CountingModel, tmp_path: Path
) -> None:
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    told = driver(planned, counting.folder, str(tmp_path), str(mounted))
    assert told.startswith(f"{mounted}, a folder that every node mounts: the driver puts them there first")
    assert driver(score_range, counting.folder, 8, str(mounted)) == DOUBLED
    assert copies(cluster, counting) == []
    assert len(list(mounted.glob("models/sha256/*"))) == 1
    assert fetches(cluster, folder_digest(Path(counting.folder))) == [0, 0]


def test_libraries_that_the_workers_lack_are_named_before_a_row_is_scored(
    driver: Driver, counting: CountingModel, tmp_path: Path
) -> None:
    with pytest.raises(EnvironmentProblem, match="the Python of Spark's workers") as refused:
        driver(run_with_python, counting.folder, str(tmp_path), python_without(tmp_path, "mlflow", "spark_infer"))
    assert refused.value.details == ("spark-infer is not installed", "mlflow is not installed")
    assert refused.value.next_step == f"there: pip install 'spark-infer[mlflow]=={spark_infer.__version__}'"
    assert not (tmp_path / "target").exists()


def test_a_python_that_the_nodes_do_not_have_is_named(driver: Driver, counting: CountingModel, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"A node has no Python './env/bin/python'") as caught:
        driver(run_with_python, counting.folder, str(tmp_path), "./env/bin/python")
    assert "--archives env.tar.gz#env" in caught.value.next_step


def _errors() -> dict[str, Callable[[Path], str]]:
    return {
        "there is none on the driver": lambda folder: str(folder / "nowhere"),
        "no bucket 'nobody'": lambda folder: "s3://nobody/models",
    }


@pytest.mark.parametrize("complaint", sorted(_errors()))
def test_a_place_that_cannot_be_used_is_refused_before_any_task(
    driver: Driver, counting: CountingModel, tmp_path: Path, complaint: str
) -> None:
    with pytest.raises(EnvironmentProblem, match=complaint):
        driver(score_range, counting.folder, 2, _errors()[complaint](tmp_path))
    assert counting.loads() == []
