"""What one task of the scoring stage takes of an executor: GPUs and cores."""

from __future__ import annotations

from pydantic import Field

from spark_infer.config.frozen import Frozen, rule


class ResourceOptions(Frozen):
    """What one task of the scoring stage takes; without any of it, what the application gives every task.

    Example:
        >>> ResourceOptions(gpu=1, tasks_per_gpu=4, cpus=2)
        ResourceOptions(gpu=1, tasks_per_gpu=4, cpus=2, allow_cpu_fallback=False)
    """

    gpu: int = Field(default=0, ge=0, description="GPUs for a task; 1 where several tasks share one.")
    tasks_per_gpu: int = Field(
        default=1,
        ge=1,
        description="How many tasks share one GPU, and one copy of the model on it (`score.hosting`).",
    )
    cpus: int | None = Field(
        default=None, ge=1, description="Cores for a task, and threads for its model; without it `spark.task.cpus`."
    )
    allow_cpu_fallback: bool = Field(
        default=False,
        description="Whether the CPU will do where a GPU is asked for and cannot be had; the report says so.",
    )

    @rule("gpu", "tasks_per_gpu")
    @staticmethod
    def _share(gpu: int, tasks_per_gpu: int) -> str:
        wrong = tasks_per_gpu > 1 and gpu != 1
        return "`tasks_per_gpu` goes with `gpu: 1`: a task holds a part of one GPU, or whole ones" if wrong else ""

    @rule("gpu", "allow_cpu_fallback")
    @staticmethod
    def _fallback(gpu: int, allow_cpu_fallback: bool) -> str:
        wrong = allow_cpu_fallback and not gpu
        return "`allow_cpu_fallback` goes with `gpu`: without it nothing asks for a GPU" if wrong else ""

    @property
    def asks(self) -> bool:
        """Whether the scoring stage wants something else than the application gives every task."""
        return self.gpu > 0 or self.cpus is not None
