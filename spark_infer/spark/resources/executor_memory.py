"""What an executor has of memory, by the settings of its application: for Python processes, and in all."""

from __future__ import annotations

import re
from collections.abc import Callable

from spark_infer.runtime.memory import whole_memory_bytes
from spark_infer.spark.resources.application import Application

_UNITS = {"": 0, "b": 0, "k": 10, "m": 20, "g": 30, "t": 40, "p": 50}
_LEAST_OVERHEAD_BYTES = 384 * 2**20
_OVERHEAD_FACTORS = {"yarn": 0.1, "kubernetes": 0.4}
"""What these keep beyond the heap where nothing is set; Kubernetes more for Python applications.

Source: https://spark.apache.org/docs/latest/configuration.html and running-on-kubernetes.html
"""

Setting = Callable[[str], str | None]


def executor_memory(application: Application, setting: Setting) -> tuple[int | None, int | None]:
    """Return the bytes that an executor has for Python processes, and in all; None where nothing bounds them.

    YARN and Kubernetes end a container that takes more. In local mode all is on this machine. A standalone worker
    bounds the Java heap alone, and `spark.executor.pyspark.memory` each Python process by its part: what they have
    together says nothing then.

    Args:
        application: The application.
        setting: Returns one of its settings; None or nothing where it is not set.
    """
    if application.manager == "local":
        memory = whole_memory_bytes()
        return memory, memory
    factor = _OVERHEAD_FACTORS.get(application.manager)
    if factor is None:
        return None, None
    heap = _bytes(setting("spark.executor.memory") or "1g", default_unit="m")
    overhead = _bytes(setting("spark.executor.memoryOverhead") or "", default_unit="m")
    if heap is None:
        return None, None
    if overhead is None:
        factor = float(setting("spark.executor.memoryOverheadFactor") or factor)
        overhead = max(_LEAST_OVERHEAD_BYTES, int(heap * factor))
    for_each = _bytes(setting("spark.executor.pyspark.memory") or "", default_unit="m")
    return overhead if for_each is None else None, overhead + heap + (for_each or 0)


def _bytes(text: str, *, default_unit: str) -> int | None:
    """Read a size as Spark writes it: ``4g``, ``512m``, and a number alone in the default unit."""
    found = re.fullmatch(r"(\d+)\s*([bkmgtp]?)b?", text.strip().lower())
    return None if found is None else int(found[1]) << _UNITS[found[2] or default_unit]
