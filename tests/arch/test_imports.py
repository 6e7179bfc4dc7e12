"""The contracts of setup.cfg hold and bite; what may not be loaded is not loaded; frameworks are where they belong."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "spark_infer"
HEAVY = {
    *("delta", "lightgbm", "mlflow", "onnx", "onnxruntime", "pandas", "pyspark", "sklearn", "skops", "torch"),
    *("sentence_transformers", "skl2onnx", "transformers", "xgboost"),
}

WHERE_FRAMEWORKS_ARE_IMPORTED = {
    "delta": [],
    "lightgbm": ["spark_infer/models/backends/native/lightgbm.py"],
    "mlflow": [
        "spark_infer/demo/*.py",
        "spark_infer/models/backends/pyfunc.py",
        "spark_infer/models/mlflow_error.py",
        "spark_infer/models/registry/servers.py",
    ],
    "onnx": ["spark_infer/models/compile/nodes.py"],
    "onnxruntime": ["spark_infer/models/backends/native/onnx.py", "spark_infer/models/compile/texts.py"],
    "pandas": ["spark_infer/models/backends/frame.py"],
    "pyroaring": ["spark_infer/tables/delta/deletion_vector.py"],
    "pyspark": ["spark_infer/spark/*.py"],
    "sklearn": [
        "spark_infer/demo/*.py",
        "spark_infer/models/accelerate/sklearn.py",
        "spark_infer/models/accelerate/skops.py",
        "spark_infer/models/backends/native/sklearn.py",
    ],
    "skl2onnx": ["spark_infer/models/compile/to_onnx.py"],
    "skops": ["spark_infer/models/accelerate/skops.py"],
    "sentence_transformers": ["spark_infer/models/backends/native/sentence_transformers.py"],
    "torch": [
        "spark_infer/models/backends/exportable.py",
        "spark_infer/models/backends/native/pytorch.py",
        "spark_infer/models/backends/native/sentence_transformers.py",
        "spark_infer/models/backends/native/transformers.py",
        "spark_infer/models/backends/torch_device.py",
        "spark_infer/models/compile/texts.py",
    ],
    "transformers": ["spark_infer/models/backends/native/transformers.py"],
    "xgboost": ["spark_infer/models/backends/native/xgboost.py"],
}


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    return subprocess.run([*command, "--no-cache"], cwd=folder, capture_output=True, text=True, check=False)


def modules_loaded_by(code: str) -> set[str]:
    """Return the top-level modules that running ``code`` in a fresh interpreter adds."""
    script = f"import sys; before = set(sys.modules)\n{code}\nprint(*set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stdout.split()}


def imports_at_run_time(tree: ast.AST) -> Iterator[str]:
    """Yield the top-level package of each import in ``tree``, those for the type checker left out."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.module.partition(".")[0]
        yield from imports_at_run_time(node)


@cache
def imports_by_file() -> dict[str, set[str]]:
    return {
        path.relative_to(ROOT).as_posix(): set(imports_at_run_time(ast.parse(path.read_text())))
        for path in sorted(PACKAGE.rglob("*.py"))
    }


def files_that_import(framework: str) -> list[str]:
    return [file for file, imported in imports_by_file().items() if framework in imported]


def copy_package(folder: Path) -> Path:
    shutil.copytree(PACKAGE, folder / "spark_infer", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "setup.cfg", folder)
    return folder


def test_the_contracts_of_setup_cfg_hold(tmp_path: Path) -> None:
    done = lint_imports(copy_package(tmp_path))
    assert done.returncode == 0, done.stdout


VIOLATIONS = [
    ("core/scoring.py", "import spark_infer.job", "core.scoring -> spark_infer.job", "Imports point one way"),
    (
        "tables/delta/log.py",
        "import spark_infer.observe",
        "tables.delta.log -> spark_infer.observe",
        "Imports point one way",
    ),
    ("extra/__init__.py", "", "not listed as layers: - spark_infer.extra", "Imports point one way"),
    (
        "core/scoring.py",
        "def f():\n    import pandas",
        "core.scoring -> pandas",
        "The core runs on numpy and pyarrow alone",
    ),
    ("job/plan.py", "import pyspark", "job.plan -> pyspark", "Only spark_infer.spark imports PySpark"),
    (
        "engines/local/pool.py",
        "def f():\n    import spark_infer.spark.session",
        "engines.local.pool -> spark_infer.spark.session",
        "Engine local runs where PySpark is not installed",
    ),
    (
        "tables/delta/log.py",
        "import pyspark",
        "tables.delta.log -> pyspark",
        "Tables are found, checked and written without Spark",
    ),
    (
        "tables/delta/log.py",
        "import spark_infer.spark.analysis",
        "tables.delta.log -> spark_infer.spark.analysis",
        "Tables are found, checked and written without Spark",
    ),
    ("job/__init__.py", "import delta", "job -> delta", "Only spark_infer.tables.delta imports Delta"),
    ("tables/plan.py", "import deltalake", "tables.plan -> deltalake", "Only spark_infer.tables.delta imports Delta"),
    (
        "models/ref.py",
        "import mlflow",
        "models.ref -> mlflow",
        "Only the registry, the pyfunc backend and one error import MLflow",
    ),
    (
        "models/ref.py",
        "import sklearn.base",
        "models.ref -> sklearn",
        "Only the backends and what accelerates them import pandas and model frameworks",
    ),
    (
        "models/worker.py",
        "def f():\n    import spark_infer.models.compile.parity",
        "models.worker -> spark_infer.models.compile.parity",
        "Compilation is opt-in",
    ),
    (
        "models/backends/native/sklearn.py",
        "import spark_infer.models.accelerate.columns",
        "models.backends.native.sklearn -> spark_infer.models.accelerate.columns",
        "Native backends know no technique",
    ),
]
"""A file, a line that it must not have, and what is found under which contract."""


@pytest.fixture(scope="module")
def complaints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What is found under each contract in a package with all violations, by the first words of the contract."""
    folder = copy_package(tmp_path_factory.mktemp("broken"))
    for file, line, _, _ in VIOLATIONS:
        module = folder / "spark_infer" / file
        module.parent.mkdir(exist_ok=True)
        with module.open("a") as source:
            source.write(f"\n{line}\n")
    done = lint_imports(folder)
    assert done.returncode == 1
    words = re.sub(r"\s+", " ", done.stdout.partition("Broken contracts")[2])
    titles = sorted({contract for _, _, _, contract in VIOLATIONS}, key=words.index)
    return dict(zip(titles, re.split("|".join(map(re.escape, titles)), words)[1:], strict=True))


@pytest.mark.parametrize(("found", "contract"), [(found, contract) for _, _, found, contract in VIOLATIONS])
def test_an_import_against_a_contract_is_found_and_the_contract_named(
    complaints: dict[str, str], found: str, contract: str
) -> None:
    assert found in complaints[contract]


@pytest.mark.parametrize("framework", sorted(WHERE_FRAMEWORKS_ARE_IMPORTED))
def test_a_framework_is_imported_only_where_it_belongs(framework: str) -> None:
    allowed = WHERE_FRAMEWORKS_ARE_IMPORTED[framework]
    files = files_that_import(framework)
    assert [file for file in files if not any(fnmatch(file, pattern) for pattern in allowed)] == []


def test_pyspark_is_imported_nowhere_else_for_its_types_either() -> None:
    found = set()
    for path in PACKAGE.rglob("*.py"):
        imports = [
            node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Import | ast.ImportFrom)
        ]
        if any(re.match(r"(from|import) pyspark\b", ast.unparse(node)) for node in imports):
            found.add(path.relative_to(PACKAGE).parts[0])
    assert found == {"spark"}


@pytest.mark.parametrize("framework", sorted(WHERE_FRAMEWORKS_ARE_IMPORTED))
def test_no_place_is_allowed_a_framework_that_it_does_not_import(framework: str) -> None:
    files = files_that_import(framework)
    allowed = WHERE_FRAMEWORKS_ARE_IMPORTED[framework]
    assert [pattern for pattern in allowed if not any(fnmatch(file, pattern) for file in files)] == []


def names_of_spark(source: str) -> set[str]:
    nodes = list(ast.walk(ast.parse(source)))
    names = {node.id for node in nodes if isinstance(node, ast.Name)} | {
        node.arg for node in nodes if isinstance(node, ast.arg)
    }
    return names & {"DataFrame", "DataFrameReader", "DataFrameWriter", "SparkSession", "spark"}


def test_no_function_of_tables_takes_a_spark_session_or_a_frame() -> None:
    found = {path.name: names_of_spark(path.read_text()) for path in (PACKAGE / "tables").rglob("*.py")}
    assert {name: names for name, names in found.items() if names} == {}
    assert names_of_spark("def f(spark: SparkSession | None): spark.sql('')") == {"spark", "SparkSession"}


def test_importing_the_package_loads_nothing_but_the_standard_library() -> None:
    assert modules_loaded_by("import spark_infer") - sys.stdlib_module_names == {"spark_infer"}


def test_importing_the_whole_core_loads_no_framework() -> None:
    code = """
import importlib, pkgutil, spark_infer.core
for module in pkgutil.walk_packages(spark_infer.core.__path__, "spark_infer.core."):
    importlib.import_module(module.name)
"""
    loaded = modules_loaded_by(code)
    assert "numpy" in loaded
    assert loaded & HEAVY == set()


@pytest.mark.parametrize("hidden", ["delta", "pyspark", "pyspark.sql"])
def test_the_unit_tests_run_as_if_spark_were_not_installed(hidden: str) -> None:
    script = f"import tests.without_spark, {hidden}"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("ModuleNotFoundError: No module named")
    assert hidden.partition(".")[0] in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("folder", ["jobs", "notebooks"])
def test_what_users_copy_imports_public_names_only(folder: str) -> None:
    def imported_by(source: str) -> Iterator[str]:
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield node.module or ""

    sources = [path.read_text() for path in (ROOT / folder).rglob("*.py")]
    for path in (ROOT / folder).rglob("*.ipynb"):
        cells = json.loads(path.read_text())["cells"]
        sources += ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert sources
    assert [name for source in sources for name in imported_by(source) if name.startswith("spark_infer.")] == []


def test_a_job_that_is_no_stream_loads_nothing_of_streams() -> None:
    modules = "spark_infer.job.scoring, spark_infer.cli.job, spark_infer.engines.spark.engine"
    command = [sys.executable, "-c", f"import sys, {modules}; print(*sys.modules)"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    ours = [name for name in done.stdout.split() if name.startswith("spark_infer.")]
    of_streams = (
        "spark_infer.job.streams",
        *(f"spark_infer.engines.spark.{name}" for name in ("stream", "quarantined")),
    )
    assert "spark_infer.engines.spark.whole_write" in ours
    assert [name for name in ours if name.startswith(of_streams)] == []
