"""PyTorch in a worker, with the threads and on the device of its task; shared by the flavors that are made of it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from spark_infer.models.backends.spec import LoadSpec
from spark_infer.runtime.memory import large_pages
from spark_infer.runtime.process_state import this_process

if TYPE_CHECKING:
    import torch


def set_dtype(module: torch.nn.Module, dtype: str) -> None:
    """Have a module compute with numbers of another type.

    Args:
        module: The module, whose weights are changed.
        dtype: PyTorch's name of the type; "" leaves the module as it is.
    """
    if dtype:
        import torch

        module.to(getattr(torch, dtype))


def prepare_torch(spec: LoadSpec) -> str:
    """Import PyTorch, give it the threads of a task, and return the device for the model: ``cpu`` or ``cuda:0``.

    Args:
        spec: How the model is loaded.

    Raises:
        DeviceError: A GPU was asked for, and torch does not see it.
    """
    if spec.accelerate:
        large_pages()
    import torch

    torch.set_num_threads(spec.threads)
    with suppress(RuntimeError):
        # Can be set once in a process, before anything runs in parallel.
        torch.set_num_interop_threads(1)
    seen = spec.device != "cpu" and torch.cuda.is_available()
    return this_process().device.settle(spec, seen=seen, framework="torch")
