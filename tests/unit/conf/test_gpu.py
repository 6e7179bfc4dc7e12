"""conf/gpu: what the discovery script makes of nvidia-smi's output, and that the example settings can be read."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

FOLDER = Path(__file__).parents[3] / "conf/gpu"
SCRIPT = FOLDER / "gpu_discovery.sh"
UUIDS = [f"GPU-e86cb44c-6756-fd30-cd4a-1e6da3caf9b{digit}" for digit in range(3)]
MIGS = [f"MIG-c7384736-a75d-5afc-978f-d2f1294409f{digit}" for digit in range(2)]

# As nvidia-smi of the drivers 550, 450 and 535 prints it.
TWO = f"GPU 0: NVIDIA A10G (UUID: {UUIDS[0]})\nGPU 1: NVIDIA A10G (UUID: {UUIDS[1]})"
TWO_MODES = f"{UUIDS[0]}, [N/A]\n{UUIDS[1]}, [N/A]"
OLD_MIG = f"MIG-{UUIDS[0]}/1/0"
OLD = f"GPU 0: A100-SXM4-40GB (UUID: {UUIDS[0]})\n  MIG 3g.20gb Device 0: (UUID: {OLD_MIG})"
MIXED = (
    f"GPU 0: NVIDIA A100-SXM4-40GB (UUID: {UUIDS[0]})\n"
    f"  MIG 3g.20gb     Device  0: (UUID: {MIGS[0]})\n"
    f"  MIG 3g.20gb     Device  1: (UUID: {MIGS[1]})\n"
    f"GPU 1: NVIDIA A100-SXM4-40GB (UUID: {UUIDS[1]})\n"
    f"GPU 2: NVIDIA A100-SXM4-40GB (UUID: {UUIDS[2]})"
)
MIXED_MODES = f"{UUIDS[0]}, Enabled\n{UUIDS[1]}, Disabled\n{UUIDS[2]}, Enabled"


def discover(folder: Path, nvidia_smi: str | None) -> subprocess.CompletedProcess[str]:
    """Run the script where nothing but awk, printf and, if given, this nvidia-smi is on the PATH."""
    for name in ("awk", "sh"):
        (folder / name).symlink_to(str(shutil.which(name)))
    if nvidia_smi is not None:
        (folder / "nvidia-smi").write_text(f"#!/bin/sh\n{nvidia_smi}\n")
        (folder / "nvidia-smi").chmod(0o755)
    return subprocess.run([SCRIPT], env={"PATH": str(folder)}, capture_output=True, text=True, check=False)


def smi(listed: str, modes: str) -> str:
    return f"case $1 in -L) echo '{listed}';; --query-gpu=uuid,mig.mode.current) echo '{modes}';; esac"


@pytest.mark.parametrize(
    ("listed", "modes", "addresses"),
    [
        (TWO, TWO_MODES, UUIDS[:2]),
        (TWO.splitlines()[0], TWO_MODES.splitlines()[0], UUIDS[:1]),
        (OLD, f"{UUIDS[0]}, Enabled", [OLD_MIG]),
        # GPU 2 is in MIG mode and has no device yet.
        (MIXED, MIXED_MODES, [*MIGS, UUIDS[1]]),
    ],
)
def test_the_script_prints_what_spark_reads(tmp_path: Path, listed: str, modes: str, addresses: list[str]) -> None:
    done = discover(tmp_path, smi(listed, modes))
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == {"name": "gpu", "addresses": addresses}


def test_an_nvidia_smi_that_knows_no_mig_mode_still_lists_its_gpus(tmp_path: Path) -> None:
    done = discover(tmp_path, f"case $1 in -L) echo '{TWO}';; *) echo 'not a valid field' >&2; exit 2;; esac")
    assert json.loads(done.stdout)["addresses"] == UUIDS[:2]


@pytest.mark.parametrize(
    ("nvidia_smi", "complaint"),
    [
        (None, "there is no nvidia-smi on the PATH"),
        (
            "echo 'NVIDIA-SMI has failed because it could not communicate with the NVIDIA driver.'; exit 9",
            "communicate",
        ),
        ("echo 'No devices found.'", "names no GPU"),
        (smi(MIXED.splitlines()[-1], MIXED_MODES), "names no GPU"),
    ],
)
def test_where_there_is_no_gpu_the_script_fails_and_says_why(
    tmp_path: Path, nvidia_smi: str | None, complaint: str
) -> None:
    done = discover(tmp_path, nvidia_smi)
    assert (done.returncode, done.stdout) == (1, "")
    assert complaint in done.stderr


def properties(name: str) -> dict[str, str]:
    """Read settings as Spark does: a name, blanks, a value."""
    lines = (FOLDER / name).read_text().splitlines()
    pairs = [line.split(None, 1) for line in lines if line.strip() and not line.startswith("#")]
    assert all(len(pair) == 2 for pair in pairs), name
    return {key: value.strip() for key, value in pairs}


@pytest.mark.parametrize("name", ["standalone.conf", "yarn.conf", "kubernetes.conf"])
def test_an_applications_settings_have_gpus_and_leave_the_stages_before_all_cores(name: str) -> None:
    conf = properties(name)
    assert all(re.fullmatch(r"spark(\.[a-zA-Z]+)+", key) for key in conf)
    assert int(conf["spark.executor.resource.gpu.amount"]) >= 1
    assert "spark.task.resource.gpu.amount" not in conf
    if name != "standalone.conf":
        assert conf["spark.executor.resource.gpu.discoveryScript"].endswith("gpu_discovery.sh")


def test_a_standalone_worker_announces_its_gpus_by_the_script() -> None:
    conf = properties("standalone-worker.conf")
    assert set(conf) == {f"spark.worker.resource.gpu.{key}" for key in ("amount", "discoveryScript")}
    assert conf["spark.worker.resource.gpu.discoveryScript"].endswith(f"conf/gpu/{SCRIPT.name}")


@pytest.mark.parametrize(
    ("file", "role"),
    [
        ("gpu/kubernetes-executor.yaml", "executor"),
        ("kubernetes/driver.yaml", "driver"),
        ("kubernetes/executor.yaml", "executor"),
    ],
)
def test_a_pod_template_names_sparks_container_and_mounts_what_it_declares(file: str, role: str) -> None:
    pod = yaml.safe_load((FOLDER.parent / file).read_text())
    assert (pod["apiVersion"], pod["kind"]) == ("v1", "Pod")
    (container,) = pod["spec"]["containers"]
    assert container["name"] == f"spark-kubernetes-{role}"  # spark.kubernetes.….podTemplateContainerName
    assert {mount["name"] for mount in container["volumeMounts"]} == {each["name"] for each in pod["spec"]["volumes"]}
    assert all(isinstance(value, str) for value in pod["spec"].get("nodeSelector", {}).values())
    home = {each["name"]: each["value"] for each in container["env"]}["SPARK_INFER_HOME"]
    # Kubernetes makes the volume writable for everybody, and such a folder is refused as a model store.
    assert str(Path(home).parent) in {mount["mountPath"] for mount in container["volumeMounts"]}


def test_the_cluster_policy_says_each_rule_in_full() -> None:
    policy = json.loads((FOLDER / "databricks-cluster-policy.json").read_text())
    needed = {"fixed": {"value"}, "allowlist": {"values", "defaultValue"}, "range": {"maxValue", "defaultValue"}}
    for path, rule in policy.items():
        assert needed[rule["type"]] <= set(rule), path
        if rule["type"] == "allowlist":
            assert rule["defaultValue"] in rule["values"], path
        if rule["type"] == "range":
            assert rule["minValue"] <= rule["defaultValue"] <= rule["maxValue"], path
    amounts = policy["spark_conf.spark.task.resource.gpu.amount"]["values"]
    assert all(float(amount) <= 1 for amount in amounts)
