"""Load a job file: YAML with `${NAME}` and overrides, checked whole, every error with its line.

Run as a module, it prints the reference of the job file: ``python -m spark_infer.job.file.load``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from yaml.nodes import MappingNode, Node

from spark_infer.config import JobConfig
from spark_infer.config.secrets import hide
from spark_infer.errors import ConfigError
from spark_infer.job.file.binding import Binding, TooLargeError
from spark_infer.job.file.overrides import with_override
from spark_infer.job.file.reference import reference_markdown
from spark_infer.job.file.yamltext import position, read_yaml, shape_of

__all__ = ["load_job", "reference_markdown"]

MOST_PROBLEMS_SHOWN = 40


def load_job(path: str | Path, overrides: Sequence[str] = (), *, environ: Mapping[str, str] | None = None) -> JobConfig:
    """Load and check a job file.

    Relative paths in it are left as they are: they are relative to the current directory of the
    process that runs the job, not to the file.

    Args:
        path: The YAML file.
        overrides: Settings of the form ``score.batch_size=5000`` that replace the file's.
        environ: Where `${NAME}` is looked up; without it, the environment of the process. What
            `${secret:NAME}` takes from there is hidden by the config's ``repr`` and ``hide``.

    Returns:
        The checked job.

    Raises:
        ConfigError: With every problem of the file and the overrides, each with its line.

    Example:
        >>> job = load_job("conf/demo.yaml", ["target.mode=overwrite"])  # doctest: +SKIP
    """
    root: Node = read_yaml(Path(path))
    if not isinstance(root, MappingNode):
        what = f"{position(root)}: a job file is a mapping with the keys model, source and target, not {shape_of(root)}"
        raise ConfigError(what, next_step="`python -m spark_infer.job.file.load` lists every key.")
    for override in overrides:
        root = with_override(root, override)
    binding = Binding(os.environ if environ is None else environ)
    try:
        config = binding.bind(root, JobConfig)
    except TooLargeError as error:
        raise ConfigError(f"{path}: {error}", next_step="Write the values out instead of repeating aliases.") from None
    if config is None:
        raise _refusal(str(path), binding.problems, binding.unset)
    _refuse_written_secrets(config, binding.secrets)
    return config.with_secrets(binding.secrets)


def _refuse_written_secrets(config: JobConfig, secrets: Mapping[str, str]) -> None:
    """Refuse `${secret:NAME}` in what is written into the table for others to read: names of columns, partitions."""
    written = config.target.model_dump(exclude={"path", "table", "format", "mode"}) | {"name": config.name}
    problems = [
        f"{'name' if key == 'name' else f'target.{key}'}: {shown} would be written into the table or its history"
        for key, value in written.items()
        for secret, shown in secrets.items()
        if any(shown in hide(text, {secret: shown}) for text in _texts(value))
    ]
    if problems:
        raise ConfigError(
            problems[0] if len(problems) == 1 else f"{len(problems)} settings write a secret into the table",
            details=problems if len(problems) > 1 else (),
            next_step="Names of columns and values of partitions are not secret: write ${NAME} in place of "
            "${secret:NAME}.",
        )


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from (str(name), *_texts(item))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, str):
        yield value


def _refusal(path: str, problems: Sequence[tuple[Node, str]], unset: Sequence[str]) -> ConfigError:
    next_step = "Correct the job file; `python -m spark_infer.job.file.load` lists every key."
    if len(unset) == len(problems):
        names = list(dict.fromkeys(unset))
        next_step = (
            f"Set {', '.join(names)} in the environment of this command, or give a default: ${{{names[0]}:-value}}."
        )
    ordered = sorted(problems, key=lambda problem: (problem[0].start_mark.name != path, problem[0].start_mark.line))
    lines = list(dict.fromkeys(_line(position(node), text) for node, text in ordered))
    if len(lines) == 1:
        return ConfigError(lines[0], next_step=next_step)
    more = len(lines) - MOST_PROBLEMS_SHOWN
    shown = lines[:MOST_PROBLEMS_SHOWN] + ([f"and {more} more"] if more > 0 else [])
    return ConfigError(f"{path}: {len(lines)} problems", details=shown, next_step=next_step)


def _line(where: str, text: str) -> str:
    """Join place and problem; an override's place is its key already."""
    return f"{where}: {text.removeprefix(where.removeprefix('--set ') + ': ')}"


if __name__ == "__main__":
    sys.stdout.write(reference_markdown())
