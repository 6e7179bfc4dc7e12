"""What a write mode does is asked of it, and never of its name."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import spark_infer
from spark_infer.config import TargetConfig
from spark_infer.config.write_modes import MODES

PACKAGE = Path(spark_infer.__file__).parent


def compared(tree: ast.AST) -> Iterator[str]:
    """Texts that something is compared with, or that it may begin with."""
    for node in ast.walk(tree):
        parts: list[ast.expr] = []
        if isinstance(node, ast.Compare):
            parts = [node.left, *node.comparators]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "startswith":
            parts = node.args
        for part in parts:
            texts = [each.value for each in ast.walk(part) if isinstance(each, ast.Constant)]
            yield from (text for text in texts if isinstance(text, str) and text in MODES)


@pytest.mark.parametrize("text", ['mode == "append"', 'mode in ("x", "merge")', 'mode.startswith("overwrite")'])
def test_a_comparison_with_a_mode_is_seen(text: str) -> None:
    assert list(compared(ast.parse(text)))


def test_nothing_compares_names_of_modes() -> None:
    found = {
        str(path.relative_to(PACKAGE)): names
        for path in PACKAGE.rglob("*.py")
        if (names := list(compared(ast.parse(path.read_text()))))
    }
    assert not found


def test_the_modes_differ_in_what_is_asked_of_them() -> None:
    answers = {(mode.takes_existing, mode.adds_only, mode.replaces, mode.needs, mode.merges) for mode in MODES.values()}
    assert len(answers) == len(MODES)


@pytest.mark.parametrize("name", MODES)
def test_a_target_has_the_mode_that_it_names(name: str) -> None:
    values = {"partitions": {"p": [1]}, "keys": ["id"]}
    needed = {option: value for option, value in values.items() if option == MODES[name].needs}
    assert TargetConfig.model_validate({"path": "t", "mode": name, **needed}).write_mode is MODES[name]
