"""What `spark_infer` offers is exactly what it says it offers."""

from __future__ import annotations

import ast
import importlib.metadata
import re
from pathlib import Path

import spark_infer

ROOT = Path(__file__).parents[2]


def test_all_is_sorted_and_holds_each_name_once() -> None:
    assert list(spark_infer.__all__) == sorted(set(spark_infer.__all__))


def test_each_name_in_all_can_be_imported() -> None:
    for name in spark_infer.__all__:
        assert getattr(spark_infer, name) is not None


def test_dir_shows_the_names_in_all_and_no_others() -> None:
    assert [name for name in dir(spark_infer) if name != "__version__"] == spark_infer.__all__


def test_the_version_is_that_of_the_distribution() -> None:
    assert spark_infer.__version__ == importlib.metadata.version("spark-infer")


def programs() -> dict[str, ast.Module]:
    """The Python of README and docs, by page and place, the notebooks and the jobs."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    blocks = {
        f"{page.name}:{number}": block
        for page in pages
        for number, block in enumerate(re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL), start=1)
    }
    files = [path for folder in ("notebooks", "jobs") for path in sorted((ROOT / folder).glob("*.py"))]
    return {
        name: ast.parse(text) for name, text in {**blocks, **{path.name: path.read_text() for path in files}}.items()
    }


def taken(program: ast.Module) -> set[str]:
    """What a program takes of the package: names of `spark_infer`, or modules below it."""
    found = set()
    for node in ast.walk(program):
        match node:
            case ast.Import(names=names):
                found |= {each.name for each in names if each.name.startswith("spark_infer.")}
            case ast.ImportFrom(module=str(module), names=names) if module.partition(".")[0] == "spark_infer":
                found |= {each.name if module == "spark_infer" else f"{module}.{each.name}" for each in names}
            case ast.Attribute(value=ast.Name(id="spark_infer"), attr=name):
                found.add(name)
    return found


def test_readme_docs_notebooks_and_jobs_need_the_public_names_alone() -> None:
    used = {name: taken(program) for name, program in programs().items()}
    assert {name: names for name, names in used.items() if not names <= set(spark_infer.__all__)} == {}
    assert set().union(*used.values()) >= {
        "ScoringJob",
        "delta_conf",
        "model_udf",
        "score",
        "score_table",
        "start_session",
    }
