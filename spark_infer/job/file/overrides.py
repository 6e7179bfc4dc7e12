"""`--set key=value`: put a value into the tree of a job file before it is bound to the schema."""

from __future__ import annotations

import copy

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from spark_infer.config import JobConfig
from spark_infer.errors import ConfigError
from spark_infer.job.file.shapes import PLAIN_KEY, item_of, sections
from spark_infer.job.file.yamltext import compose, position, printable

_MAP = "tag:yaml.org,2002:map"
_STR = "tag:yaml.org,2002:str"


def with_override(root: MappingNode, override: str) -> MappingNode:
    """Return the tree with one value replaced or added; ``root`` is left as it is.

    The key is a dotted path. Below a mapping with free keys (`spark.conf`, `score.params`) the rest of the
    path is one key, dots and all. The value is YAML; nothing after the `=` means null.

    Raises:
        ConfigError: The override has no `=`, its value is not YAML, or its path leads into a list.
    """
    path, equals, text = override.partition("=")
    path = path.strip()
    if not equals or not all(path.split(".")):
        what = f"--set {path.split('=')[0][:60]!r}: expected key=value, with a dotted key"
        raise ConfigError(what, next_step="For example: --set score.batch_size=5000")
    name = f"--set {printable(path)}"
    value = compose(text, name) or compose("null", name)
    assert value is not None
    # `&` and aliases may share nodes; a copy keeps the shared ones untouched.
    root = copy.copy(root)
    _put(root, JobConfig, path, value, name)
    return root


def _put(node: MappingNode, annotation: object, path: str, value: Node, name: str) -> None:
    model = next(iter(sections(annotation)), None)
    free = model is None and item_of(annotation, dict) is not None
    key, _, rest = (path, "", "") if free else path.partition(".")
    index = next((i for i, (old, _) in enumerate(node.value) if old.value == key), None)
    node.value = list(node.value)
    if index is None:
        index = len(node.value)
        node.value.append((ScalarNode(_STR, key, value.start_mark, value.end_mark), None))
    old_key, old = node.value[index]
    if not rest:
        # The key keeps its own line only if the file has it; what is reported about the value names the override.
        node.value[index] = (old_key, value)
        return
    about = model.settings().get(key) if model is not None else None
    inner = about.annotation if about is not None else None
    below = _mapping(old, inner, value, name)
    node.value[index] = (old_key, below)
    _put(below, inner, rest, value, name)


def _mapping(old: Node | None, annotation: object, value: Node, name: str) -> MappingNode:
    """Return a mapping to put a key into: a copy of what is there, or a new one."""
    if isinstance(old, MappingNode):
        return copy.copy(old)
    if isinstance(old, SequenceNode):
        raise ConfigError(f"{name}: a list stands at {position(old)}; give the whole list")
    plain_key = next((PLAIN_KEY[group] for group in sections(annotation) if group in PLAIN_KEY), None)
    made = MappingNode(_MAP, [], value.start_mark, value.end_mark)
    if isinstance(old, ScalarNode) and old.value and plain_key:
        made.start_mark = old.start_mark
        made.value.append((ScalarNode(_STR, plain_key, old.start_mark, old.end_mark), old))
    return made
