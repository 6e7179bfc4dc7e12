"""Every key of a job file as Markdown, from the settings: `python -m spark_infer.config.reference`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

from pydantic.fields import FieldInfo

from spark_infer.config.annotations import expected, groups, item_of, step_kind
from spark_infer.config.frozen import Frozen
from spark_infer.config.job import JobConfig

_STEPS = """
## Steps of `score.postprocess`

A step is written `- threshold: {column: …, at: …, output: …}`, or with its keys beside `kind: threshold`.
Your own function is `- my.module:function`.
"""


def reference_markdown() -> str:
    """Return the tables of `docs/job-file.md`, from its heading `Keys` on."""
    return "".join(_pages(JobConfig, ""))


def _pages(model: type[Frozen], path: str) -> Iterator[str]:
    yield f"\n## {f'`{path}`' if path else 'Keys'}\n\n{_about(model)}\n\n{_table(model)}"
    for name, field in model.settings().items():
        steps = groups(item_of(field, tuple))
        if len(steps) > 1:
            yield _STEPS
            for step in steps:
                yield f"\n### `{step_kind(step)}`\n\n{_about(step)}\n\n{_table(step)}"
        for group in groups(field) or (steps if len(steps) == 1 else []):
            yield from _pages(group, f"{path}.{name}" if path else name)


def _about(model: type[Frozen]) -> str:
    return (model.__doc__ or "").partition("\n\n")[0].strip()


def _table(model: type[Frozen]) -> str:
    rows = [
        f"| `{name}` | {_cell(expected(field))} | {_default(field)} | {_cell(field.description or '')} |"
        for name, field in model.settings().items()
        if name != "kind"
    ]
    return "\n".join(["| Key | Holds | Default | Meaning |", "|---|---|---|---|", *rows, ""])


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    default = field.get_default(call_default_factory=True)
    if isinstance(default, Frozen):
        return ""
    if default in ((), {}):
        return "none"
    return f"`{default if isinstance(default, str) else json.dumps(default)}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(reference_markdown())
