"""What Spark makes of the files in conf/ for YARN and Kubernetes: its own classes render them; no cluster runs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pyspark.java_gateway import launch_gateway

ROOT = Path(__file__).parents[2]
UV = str(Path(sys.executable).with_name("uv"))
pytestmark = pytest.mark.soak


@pytest.fixture(scope="module")
def java() -> Iterator[Any]:
    """A JVM with Spark's classes, started at the root of the repository."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        gateway = launch_gateway()  # type: ignore[no-untyped-call]  # PySpark has no types for it
    yield gateway
    gateway.shutdown()
    gateway.proc.stdin.close()  # it ends with its parent's end of this pipe
    gateway.proc.wait(30)


def settings(java: Any, *files: str) -> Any:
    conf = java.jvm.org.apache.spark.SparkConf(False).set("spark.app.name", "score")
    for file in files:
        for line in (ROOT / "conf" / file).read_text().splitlines():
            if line and not line.startswith("#"):
                conf.set(*line.split(None, 1))
    return conf


def texts(java: Any, *values: str) -> Any:
    array = java.new_array(java.jvm.java.lang.String, len(values))
    for place, value in enumerate(values):
        array[place] = value
    return array


def pods(java: Any, conf: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the pods of the driver and of an executor, as Spark would have Kubernetes make them."""
    spark, kubernetes = java.jvm.org.apache.spark, java.jvm.org.apache.spark.deploy.k8s
    fabric = java.jvm.io.fabric8.kubernetes.client
    offline = fabric.ConfigBuilder().withMasterUrl("https://localhost:1").build()
    client = fabric.KubernetesClientBuilder().withConfig(offline).build()
    none = java.jvm.scala.Option.apply(None)
    script = kubernetes.submit.PythonMainAppResource("local:///opt/score_table.py")
    arguments = texts(java, "/opt/jobs/job.yaml")
    runner = "org.apache.spark.deploy.PythonRunner"
    driver = kubernetes.KubernetesConf.createDriverConf(conf, "spark-1", script, runner, arguments, none)
    first = kubernetes.submit.KubernetesDriverBuilder().buildFromFeatures(driver, client).pod()
    conf.set("spark.driver.host", "driver").set("spark.driver.port", "7078")  # known once the driver runs
    executor = kubernetes.KubernetesConf.createExecutorConf(conf, "1", "spark-1", none, 0)
    default = getattr(spark.SecurityManager, "$lessinit$greater$default$3")
    security = spark.SecurityManager(conf, none, default())
    profiles = getattr(getattr(spark.resource, "ResourceProfile$"), "MODULE$")
    profiles.clearDefaultProfile()
    profile = profiles.getOrCreateDefaultProfile(conf)
    builder = java.jvm.org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBuilder()
    second = builder.buildFromFeatures(executor, security, client, profile).pod()
    return document(java, first), document(java, second)


def document(java: Any, made: Any) -> dict[str, Any]:
    as_yaml = java.jvm.io.fabric8.kubernetes.client.utils.Serialization.asYaml
    pod: dict[str, Any] = yaml.safe_load(as_yaml(made.pod()))
    pod["spec"]["containers"] = [*pod["spec"].get("containers", []), yaml.safe_load(as_yaml(made.container()))]
    return pod


def container(pod: dict[str, Any]) -> dict[str, Any]:
    (one,) = pod["spec"]["containers"]
    assert isinstance(one, dict)
    return one


def environ(pod: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each.get("value", "") for each in container(pod)["env"]}


def test_pods_have_the_volumes_memory_and_arguments_of_the_files(java: Any, tmp_path: Path) -> None:
    driver, executor = pods(java, settings(java, "kubernetes/spark.conf"))
    assert environ(driver)["SPARK_INFER_HOME"] == environ(executor)["SPARK_INFER_HOME"] == "/var/spark-infer/store"
    mounts = [{each["mountPath"] for each in container(pod)["volumeMounts"]} for pod in (driver, executor)]
    assert {"/var/spark-infer", "/opt/jobs"} <= mounts[0]
    assert "/var/spark-infer" in mounts[1]
    assert container(driver)["args"][-2:] == ["local:///opt/score_table.py", "/opt/jobs/job.yaml"]
    assert container(driver)["image"] == container(executor)["image"] == "REGISTRY/spark-infer:TAG"
    assert driver["spec"]["serviceAccountName"] == "spark"
    assert container(executor)["resources"]["limits"]["memory"] == "12288Mi"  # 4 GiB of heap, 8 GiB beside it
    assert container(executor)["resources"]["requests"]["cpu"] == "4"
    fit_the_schema(tmp_path, driver, executor)


def test_an_executor_with_a_gpu_asks_for_it_and_goes_where_one_is(java: Any, tmp_path: Path) -> None:
    conf = settings(java, "kubernetes/spark.conf", "gpu/kubernetes.conf")
    conf.set(
        "spark.kubernetes.executor.podTemplateFile", "conf/gpu/kubernetes-executor.yaml"
    )  # the image has it in /opt
    driver, executor = pods(java, conf)
    assert container(executor)["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert executor["spec"]["nodeSelector"]["nvidia.com/gpu.present"] == "true"
    assert environ(executor)["SPARK_INFER_HOME"] == "/var/spark-infer/store"
    fit_the_schema(tmp_path, driver, executor)


def fit_the_schema(folder: Path, *documents: dict[str, Any]) -> None:
    """Hold documents to the schemas of Kubernetes, which refuse unknown fields."""
    (folder / "all.yaml").write_text(yaml.safe_dump_all([*documents, {**documents[0], "kind": "Pood"}]))
    program = (
        "import sys, yaml, kubernetes_validate as k\n"
        "for each in yaml.safe_load_all(open(sys.argv[1])):\n"
        "    try: print(k.validate(each, k.latest_version(), strict=True))\n"
        "    except Exception as error: print(type(error).__name__, str(error)[:300])\n"
    )
    command = [
        UV,
        "run",
        "--quiet",
        "--no-project",
        "--python",
        sys.executable,
        "--with",
        "kubernetes-validate",
        "--with",
    ]
    command += ["pyyaml", "python", "-c", program, str(folder / "all.yaml")]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": ""}, capture_output=True, text=True, check=False)
    *valid, unknown = done.stdout.splitlines() or [done.stderr]
    assert [line[:1].isdigit() for line in valid] == [True] * len(documents), done.stdout + done.stderr
    assert "NotFound" in unknown


def test_yarn_gets_the_environment_the_job_file_and_the_interpreter(java: Any, tmp_path: Path) -> None:
    for name in ("env.tar.gz", "job.yaml", "score_table.py"):
        (tmp_path / name).touch()
    given = ["--properties-file", str(ROOT / "conf/yarn.conf"), "--files", f"{tmp_path}/job.yaml"]
    given += ["--conf", f"spark.archives={tmp_path}/env.tar.gz#env", f"{tmp_path}/score_table.py", "job.yaml"]
    deploy, convert = java.jvm.org.apache.spark.deploy, java.jvm.org.apache.spark.api.python.PythonUtils
    parsed = deploy.SparkSubmitArguments(convert.toSeq(given), convert.toScalaMap({"HADOOP_CONF_DIR": str(tmp_path)}))
    prepared = deploy.SparkSubmit().prepareSubmitEnvironment(parsed, java.jvm.scala.Option.apply(None))
    conf = prepared._3()
    assert conf.get("spark.yarn.dist.archives").endswith("env.tar.gz#env")
    assert conf.get("spark.yarn.dist.files").endswith("/job.yaml")
    assert conf.get("spark.yarn.appMasterEnv.PYSPARK_PYTHON") == "./env/bin/python"
    assert prepared._4() == "org.apache.spark.deploy.yarn.YarnClusterApplication"
