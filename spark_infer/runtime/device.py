"""The GPU that Spark assigned to a task, bound to this process before any framework is imported."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any, Protocol

from spark_infer.errors import DeviceError

logger = logging.getLogger(__name__)

CPU, GPU = "cpu", "cuda:0"
VISIBLE = "CUDA_VISIBLE_DEVICES"
_ORDER = "CUDA_DEVICE_ORDER"
_OUTER = "SPARK_INFER_OUTER_VISIBLE_DEVICES"  # what VISIBLE was before we narrowed it: "" for unset, else "=" and it
_DEVICE = re.compile(r"\d+|(GPU|MIG)-.+")


def bind_address(address: str | None, environ: MutableMapping[str, str]) -> str | None:
    """Narrow `CUDA_VISIBLE_DEVICES` to what Spark assigned; CUDA reads it once, when it starts.

    Spark's addresses are what the discovery script printed:

    - A UUID (``GPU-…``) or a MIG name (``MIG-…``) names one device anywhere.
    - A number is the device of that number for nvidia-smi, where the executor has no `CUDA_VISIBLE_DEVICES`.
    - Where the executor came with a list, a number that is in it is that device, and another is a place in the list,
      as it is for CUDA. With the list ``1,2`` the number 1 could be either: that is refused.

    Args:
        address: The address, several with commas between them; None gives back what was there before.
        environ: The environment of this process.

    Returns:
        What the variable holds now; None where it is not set.

    Raises:
        DeviceError: The executor hides the device, or the number can mean two devices.
    """
    outer = environ[_OUTER] if _OUTER in environ else _marked(environ.get(VISIBLE))
    if address is None:
        _restore(outer, environ)
        return environ.get(VISIBLE)
    addresses = address.split(",")
    if outer:
        value = ",".join(_among(each, _listed(outer[1:]), outer[1:]) for each in addresses)
    else:
        value = address
        if any(each.isdigit() for each in addresses):
            # nvidia-smi counts along the PCI bus; CUDA by itself puts the fastest first.
            environ.setdefault(_ORDER, "PCI_BUS_ID")
    environ[_OUTER], environ[VISIBLE] = outer, value
    return value


class AskedDevice(Protocol):
    """What a model is to be loaded on."""

    @property
    def device(self) -> str:
        """``cpu`` or ``cuda:0``."""
        ...

    @property
    def address(self) -> str | None:
        """What Spark assigned to the task."""
        ...

    @property
    def allow_cpu_fallback(self) -> bool:
        """Whether the CPU will do where a GPU was asked for and is not seen."""
        ...


class ProcessDevice:
    """The device of this process: which ones CUDA saw when it started, since it never looks again.

    Attributes:
        fallbacks: How many models fell back to the CPU so far.

    Args:
        environ: The environment of this process.
    """

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        self.fallbacks = 0
        self._environ = environ
        self._started_with: str | None = None

    def bind(self, address: str | None) -> None:
        """Bind a task's address; call it before anything imports a framework.

        Raises:
            DeviceError: See `bind_address`.
        """
        before = self._environ.get(VISIBLE)
        bound = bind_address(address, self._environ)
        if bound != before and self._started_with is None and cuda_has_started():
            self._started_with = before or "all"

    @property
    def is_reachable(self) -> bool:
        """Whether a model that is loaded in this process now would run on the device that is bound."""
        return self._started_with in (None, self._environ.get(VISIBLE))

    def use(self) -> None:
        """Note that a model was loaded on the device that is bound."""
        self._started_with = self._started_with or self._environ.get(VISIBLE)

    def settle(self, asked: AskedDevice, *, seen: bool, framework: str) -> str:
        """Return the device on which a backend runs its model.

        Args:
            asked: What was asked for.
            seen: Whether the framework sees a GPU.
            framework: Its name, for the message.

        Raises:
            DeviceError: A GPU was asked for, the framework does not see it, and the CPU will not do.
        """
        if asked.device == CPU or seen:
            return asked.device
        if asked.allow_cpu_fallback:
            self.fall_back(f"{framework} sees no GPU")
            return CPU
        raise DeviceError(
            f"{framework} does not see the GPU that was asked for (address {asked.address}).",
            details=[f"in the worker {VISIBLE} is {self._environ.get(VISIBLE)!r}"],
            next_step=f"install a build of {framework} for CUDA where the workers run, with a driver that is new "
            "enough; or set resources.allow_cpu_fallback: true.",
        )

    def fall_back(self, reason: str) -> None:
        """Note that a model runs on the CPU though a GPU was asked for."""
        logger.warning("%s: the model runs on the CPU", reason)
        self.fallbacks += 1


def cuda_has_started(descriptors: Path = Path("/proc/self/fd")) -> bool:
    """Whether CUDA has started in this process, as far as can be seen without starting it.

    PyTorch tells; for all others, CUDA holds the driver's files (``/dev/nvidia0``, …) open. Where neither can be
    seen the answer is no.
    """
    torch: Any = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        return True
    try:
        return any(_target(each).startswith("/dev/nvidia") for each in descriptors.iterdir())
    except OSError:
        return False


def _target(descriptor: Path) -> str:
    try:
        return os.readlink(descriptor)
    except OSError:  # closed since it was listed
        return ""


def _marked(value: str | None) -> str:
    return "" if value is None else f"={value}"


def _restore(outer: str, environ: MutableMapping[str, str]) -> None:
    environ.pop(_OUTER, None)
    if outer:
        environ[VISIBLE] = outer[1:]
    else:
        environ.pop(VISIBLE, None)


def _listed(visible: str) -> list[str]:
    """Return the devices of a list as CUDA reads it: up to the first that it does not understand."""
    devices: list[str] = []
    for each in (part.strip() for part in visible.split(",")):
        if not _DEVICE.fullmatch(each):
            break
        devices.append(each)
    return devices


def _among(address: str, devices: list[str], visible: str) -> str:
    """Return the name by which CUDA knows an address, where only ``devices`` may be used."""
    if address.isdigit():
        index = int(address)
        by_place = {devices[index]} if index < len(devices) else set()
        by_name = {each for each in devices if each.isdigit() and int(each) == index}
        meant = by_name | by_place
    else:
        # CUDA takes the first letters of a UUID for the whole; a device of the other kind cannot be compared.
        kind = address.partition("-")[0]
        same = [each for each in devices if each.partition("-")[0] == kind]
        hidden = same == devices and not any(address.startswith(each) for each in same)
        meant = set() if hidden else {address}
    if len(meant) == 1:
        return meant.pop()
    what = f"Spark assigned GPU {address}, and the executor was started with {VISIBLE}={visible!r}"
    if meant:
        raise DeviceError(
            f"{what}: that is device {address}, or the one at place {address} of the list.",
            next_step="let the discovery script print UUIDs, as conf/gpu/gpu_discovery.sh does.",
        )
    raise DeviceError(
        f"{what}, which hides it.",
        next_step=f"take {VISIBLE} out of the executors' environment, or let the discovery script print the devices "
        "of that list alone.",
    )
