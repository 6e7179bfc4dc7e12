from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from spark_infer.core.binding import Binding
from spark_infer.errors import DeviceError
from spark_infer.models.backends.spec import LoadSpec
from spark_infer.models.mlmodel import MLModel
from spark_infer.runtime import device
from spark_infer.runtime.device import ProcessDevice, bind_address, cuda_has_started

GPU_A, GPU_B = "GPU-5b1f2c3d-0000-4000-8000-00000000000a", "GPU-7e1f2c3d-0000-4000-8000-00000000000b"
MIG = "MIG-9d1f2c3d-0000-4000-8000-00000000000c"
OLD_MIG = "MIG-GPU-5b1f2c3d-0000-4000-8000-00000000000a/3/0"


def bound(address: str, visible: str | None) -> str | None:
    environ = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    return bind_address(address, environ)


@pytest.mark.parametrize(
    ("address", "visible", "expected"),
    [
        ("1", None, "1"),
        ("0,1", None, "0,1"),
        (GPU_A, None, GPU_A),
        (MIG, None, MIG),
        (OLD_MIG, None, OLD_MIG),
        # A number in the list is that device; one that is not is a place in the list.
        ("2", "2,3", "2"),
        ("3", "2,3", "3"),
        ("0", "2,3", "2"),
        ("1", "2,3", "3"),
        ("0,1", "2,3", "2,3"),
        ("1", "0,1", "1"),
        ("0", GPU_B, GPU_B),
        ("1", f"{GPU_A}, {GPU_B}", GPU_B),
        ("0", MIG, MIG),
        # Names are the same everywhere; CUDA takes their first letters.
        (GPU_A, f"{GPU_B},{GPU_A}", GPU_A),
        (GPU_A, "GPU-5b1f", GPU_A),
        (GPU_A, "0,1", GPU_A),
        (MIG, GPU_A, MIG),
        # CUDA reads the list up to the first entry that it does not know.
        ("0", "3,-1,4", "3"),
    ],
)
def test_the_variable_holds_the_assigned_device_alone(address: str, visible: str | None, expected: str) -> None:
    assert bound(address, visible) == expected


@pytest.mark.parametrize(
    ("address", "visible"),
    [("4", "2,3"), ("0", ""), ("0", "-1"), ("0", "NoDevFiles"), (GPU_A, GPU_B), (MIG, "MIG-1d1f"), ("1", "3,-1,1")],
)
def test_a_device_that_the_executor_hides_is_refused(address: str, visible: str) -> None:
    with pytest.raises(DeviceError, match="hides it") as caught:
        bound(address, visible)
    assert repr(visible) in caught.value.what


@pytest.mark.parametrize(("address", "visible"), [("1", "1,2"), ("0", "1,0")])
def test_a_number_that_can_mean_two_devices_is_refused(address: str, visible: str) -> None:
    with pytest.raises(DeviceError, match="UUIDs"):
        bound(address, visible)


def test_the_next_task_is_bound_within_what_the_executor_had_not_within_what_the_last_task_had() -> None:
    environ = {"CUDA_VISIBLE_DEVICES": "2,3"}
    assert [bind_address(each, environ) for each in ("0", "1", "0")] == ["2", "3", "2"]
    assert bind_address(None, environ) == "2,3"
    assert environ == {"CUDA_VISIBLE_DEVICES": "2,3"}
    unset: dict[str, str] = {}
    assert [bind_address(each, unset) for each in ("0", "1", None)] == ["0", "1", None]
    assert "CUDA_VISIBLE_DEVICES" not in unset


def test_numbers_are_nvidia_smis_and_not_cudas_fastest_first() -> None:
    environ: dict[str, str] = {}
    bind_address("1", environ)
    assert environ["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    named: dict[str, str] = {}
    bind_address(GPU_A, named)
    assert "CUDA_DEVICE_ORDER" not in named


@pytest.fixture
def idle(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether CUDA has started, as the test says."""
    started = [False]
    monkeypatch.setattr(device, "cuda_has_started", lambda: started[-1])
    return started


def test_a_process_reaches_every_gpu_until_cuda_has_started_and_then_that_one_alone(idle: list[bool]) -> None:
    process = ProcessDevice({})
    reached = []
    for address, used in (("0", False), ("1", True), ("0", False), ("1", True), (None, False), ("1", False)):
        process.bind(address)
        reached.append(process.is_reachable)
        if used:
            process.use()
    assert reached == [True, True, False, True, False, True]


def test_a_gpu_is_out_of_reach_where_the_users_code_started_cuda_before_it_was_bound(idle: list[bool]) -> None:
    process = ProcessDevice({})
    idle.append(True)
    process.bind("0")
    assert not process.is_reachable


def test_cuda_that_starts_after_the_binding_sees_the_right_gpu(idle: list[bool]) -> None:
    process = ProcessDevice({})
    process.bind("0")
    idle.append(True)
    process.bind("0")
    assert process.is_reachable
    process.bind("1")
    assert not process.is_reachable


def test_cuda_has_started_where_torch_says_so_or_the_drivers_files_are_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    (tmp_path / "0").symlink_to("/dev/null")
    assert not cuda_has_started(tmp_path)
    assert not cuda_has_started(tmp_path / "none")
    (tmp_path / "1").symlink_to("/dev/nvidia0")
    assert cuda_has_started(tmp_path)
    (tmp_path / "1").unlink()
    for started in (False, True):
        torch = SimpleNamespace(cuda=SimpleNamespace(is_initialized=lambda started=started: started))
        monkeypatch.setitem(sys.modules, "torch", torch)
        assert cuda_has_started(tmp_path) is started


def load_spec(device: str, *, fallback: bool = False) -> LoadSpec:
    return LoadSpec(
        backend="pyfunc",
        mlmodel=MLModel(flavors={}),
        methods=("predict",),
        by_signature=True,
        binding=Binding(columns=()),
        params={},
        threads=1,
        device=device,
        address="1",
        allow_cpu_fallback=fallback,
    )


def test_a_gpu_that_the_framework_does_not_see_is_an_error_that_says_so() -> None:
    process = ProcessDevice({"CUDA_VISIBLE_DEVICES": "1"})
    assert process.settle(load_spec("cpu"), seen=False, framework="torch") == "cpu"
    assert process.settle(load_spec("cuda:0"), seen=True, framework="torch") == "cuda:0"
    with pytest.raises(DeviceError) as caught:
        process.settle(load_spec("cuda:0"), seen=False, framework="torch")
    assert str(caught.value).splitlines()[:2] == [
        "torch does not see the GPU that was asked for (address 1).",
        "  in the worker CUDA_VISIBLE_DEVICES is '1'",
    ]
    assert process.fallbacks == 0


def test_a_fallback_to_the_cpu_is_counted() -> None:
    process = ProcessDevice({})
    assert process.settle(load_spec("cuda:0", fallback=True), seen=False, framework="torch") == "cpu"
    assert process.fallbacks == 1
