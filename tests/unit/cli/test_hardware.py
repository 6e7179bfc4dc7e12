from __future__ import annotations

from pathlib import Path

import pytest

from spark_infer.cli import hardware

A10 = "GPU 0: NVIDIA A10G (UUID: GPU-e86cb44c-6756-fd30-cd4a-1e6da3caf9b0)"


def nvidia_smi(folder: Path, script: str) -> dict[str, str]:
    (folder / "nvidia-smi").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "nvidia-smi").chmod(0o755)
    return {"PATH": str(folder)}


def test_a_machine_without_gpus_is_well(tmp_path: Path) -> None:
    finding = hardware.look_at_gpus({"PATH": str(tmp_path)})
    assert (finding.status, finding.found) == ("ok", "none: there is no nvidia-smi on the PATH")


@pytest.mark.parametrize(("visible", "status"), [(None, "ok"), ("0", "ok"), ("-1", "note"), ("GPU-77", "note")])
def test_gpus_are_named_and_what_hides_them_is_told(tmp_path: Path, visible: str | None, status: str) -> None:
    environ = nvidia_smi(tmp_path, f"echo '{A10}'")
    finding = hardware.look_at_gpus(environ if visible is None else {**environ, "CUDA_VISIBLE_DEVICES": visible})
    assert finding.status == status
    assert finding.found.startswith("NVIDIA A10G")
    assert visible is None or repr(visible) in finding.found


@pytest.mark.parametrize("script", ["echo 'NVIDIA-SMI has failed'; exit 9", "echo 'NVIDIA-SMI has failed'"])
def test_a_driver_that_fails_is_a_problem(tmp_path: Path, script: str) -> None:
    finding = hardware.look_at_gpus(nvidia_smi(tmp_path, script))
    assert (finding.status, finding.found) == ("problem", "nvidia-smi -L says: NVIDIA-SMI has failed")


def settings(folder: Path, *lines: str) -> dict[str, str]:
    (folder / "spark-defaults.conf").write_text("\n".join(lines))
    return {"SPARK_CONF_DIR": str(folder)}


def test_what_spark_defaults_give_a_task_is_counted(tmp_path: Path) -> None:
    cluster = ("spark.master yarn", "spark.executor.cores 8", "spark.executor.resource.gpu.amount 2")
    finding = hardware.look_at_slots(settings(tmp_path, *cluster, "spark.task.resource.gpu.amount 0.5"))
    assert finding.found == "4 tasks at once on 1 executor with 8 cores and 2 GPUs; each takes 1 core and 1/2 of a GPU"
    assert (finding.status, "spark.task.cpus=2" in finding.fix) == ("note", True)
    finding = hardware.look_at_slots(settings(tmp_path, "spark.master local[4]", "spark.task.cpus 2"))
    assert (finding.status, finding.found) == (
        "ok", "2 tasks at once on 1 executor with 4 cores; each takes 2 cores"
    )  # fmt: skip
    assert hardware.look_at_slots(settings(tmp_path)).status == "ok"


@pytest.mark.parametrize(
    "lines",
    [
        ("spark.master local[2]", "spark.task.resource.gpu.amount 1"),
        ("spark.master yarn", "spark.executor.cores 2", "spark.task.cpus 4"),
        ("spark.master yarn", "spark.task.resource.gpu.amount 1"),
        ("spark.task.cpus two",),
    ],
)
def test_settings_with_which_spark_would_wait_for_ever_are_a_problem(tmp_path: Path, lines: tuple[str, ...]) -> None:
    finding = hardware.look_at_slots(settings(tmp_path, *lines))
    assert finding.status == "problem"
    assert finding.fix
