"""What Spark assigned to a task: its GPUs and cores, beside what was asked for."""

from __future__ import annotations

from dataclasses import dataclass, field

from spark_infer.config import ResourceOptions
from spark_infer.errors import DeviceError
from spark_infer.runtime.process_identity import ProcessIdentity
from spark_infer.runtime.process_state import this_process


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """What Spark assigned to a task.

    Attributes:
        addresses: Its GPUs, as the discovery script named them; empty without one.
        cpus: Its cores; None where Spark does not tell.
        attempt: How often the task was tried before.
        resources: What was asked for.
        executor: The process whose workers share a model host; None for the Java process that started this one.
    """

    addresses: tuple[str, ...] = ()
    cpus: int | None = None
    attempt: int = 0
    resources: ResourceOptions = field(default_factory=ResourceOptions)
    executor: ProcessIdentity | None = None

    @property
    def address(self) -> str | None:
        """The GPUs in one text, as `CUDA_VISIBLE_DEVICES` takes them; None without one."""
        return ",".join(self.addresses) or None

    def bind(self) -> None:
        """Let this process see its GPUs alone; before anything imports a framework.

        Raises:
            DeviceError: The executor hides them, or there are none where one was asked for and the CPU will not do.
        """
        this_process().device.bind(self.address)
        if self.addresses or not self.resources.gpu:
            return
        if not self.resources.allow_cpu_fallback:
            raise DeviceError(
                "A GPU was asked for, and Spark assigned none to the task.",
                next_step="plan again in this application: its settings may have changed; docs/gpus.md has those that "
                "are needed.",
            )

    def note_loads(self, loads: int) -> None:
        """Note models that were loaded here, where a GPU was asked for and Spark gave none."""
        if loads and self.resources.gpu and not self.addresses:
            this_process().device.fall_back("Spark assigned no GPU to the task")
