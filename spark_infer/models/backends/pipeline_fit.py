"""Which pipelines of transformers are left to their pyfunc, as their `MLmodel` and configurations show it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spark_infer.models.backends.pipeline_tasks import task_of

_ELSEWHERE = {
    "inference_task": "its answers follow the protocol of MLflow's task {value!r}",
    "local_base_model_path": "its weights lie outside its folder",
    "peft_adaptor": "it has an adapter of PEFT",
    "processor_type": "it was saved with a processor",
}
"""Settings of the flavor that only its pyfunc knows what to do with."""

_COMPONENTS = frozenset({"feature_extractor", "image_processor", "tokenizer"})

_GONE = ("question-answering", "summarization", "text2text-generation", "translation")
"""Pipelines that transformers 5 has no more."""


def left_to_pyfunc(flavor: Mapping[str, Any], folder: Path) -> str | None:
    """Say why pyfunc must serve a pipeline; None where it need not.

    Args:
        flavor: Its settings, as MLflow wrote them.
        folder: The model's files; none of them is imported.
    """
    reasons = [text.format(value=flavor[key]) for key, text in _ELSEWHERE.items() if flavor.get(key)]
    if reasons:
        return reasons[0]
    task, name = task_of(flavor), flavor.get("task")
    if task is None:
        gone = str(name).startswith(_GONE)
        return f"transformers 5 has no pipeline for {name}" if gone else f"no native way for the task {name!r}"
    if flavor.get("instance_type") != task.pipeline:
        return f"its pipeline is {flavor.get('instance_type')}, and not {task.pipeline}"
    if "model_binary" not in flavor:
        return "its weights lie outside its folder"
    if others := set(flavor.get("components") or []) - _COMPONENTS:
        return f"it has a component that is none of transformers': {sorted(map(str, others))[0]!r}"
    if brought := _code_of_its_own(folder):
        return f"it brings code of its own, which {brought} names"
    if (folder / "components" / "inference_config.txt").exists():
        return "its configuration is in the old inference_config.txt"
    return None


def _code_of_its_own(folder: Path) -> str | None:
    for path in sorted([*folder.glob("model/*config.json"), *folder.glob("components/*/*config.json")]):
        try:
            if "auto_map" in json.loads(path.read_text(encoding="utf-8")):
                return path.relative_to(folder).as_posix()
        except (ValueError, TypeError):
            return path.relative_to(folder).as_posix()
    return None
