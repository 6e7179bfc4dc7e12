"""What this machine offers Spark is found the way Spark finds it, and what does not fit is named with the fix."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from spark_infer.errors import EnvironmentProblem
from spark_infer.spark import environment

GIB = 2**30


def program(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def java(path: Path, shown: str) -> Path:
    return program(path, f"echo '{shown}' >&2")


def test_java_home_comes_before_the_path_as_it_does_for_spark(tmp_path: Path) -> None:
    java(tmp_path / "path" / "java", 'openjdk version "1.8.0_402"')
    home = java(tmp_path / "home" / "bin" / "java", 'openjdk version "21.0.2" 2024-01-16')
    environ = {"JAVA_HOME": str(tmp_path / "home"), "PATH": str(tmp_path / "path")}
    assert environment.require_java(environ, "4.2.0") == environment.Java(str(home), 21)


def test_without_java_home_the_java_on_the_path_counts(tmp_path: Path) -> None:
    path = java(tmp_path / "java", 'openjdk version "17" 2021-09-14')
    assert environment.require_java({"PATH": str(tmp_path)}, "4.2.0") == environment.Java(str(path), 17)


@pytest.mark.parametrize(
    ("shown", "version"), [('java version "1.8.0_402"', 8), ('openjdk version "11.0.22" 2024-01-16', 11)]
)
def test_an_old_java_is_refused_with_its_version_and_what_to_install(tmp_path: Path, shown: str, version: int) -> None:
    java(tmp_path / "java", shown)
    with pytest.raises(EnvironmentProblem, match=f"is Java {version}") as caught:
        environment.require_java({"PATH": str(tmp_path)}, "4.2.0")
    assert "openjdk-17-jre-headless" in caught.value.next_step


def test_spark_3_5_takes_java_8_and_nothing_older(tmp_path: Path) -> None:
    path = java(tmp_path / "java", 'java version "1.8.0_402"')
    assert environment.require_java({"PATH": str(tmp_path)}, "3.5.9") == environment.Java(str(path), 8)
    java(tmp_path / "java", 'java version "1.7.0_80"')
    with pytest.raises(EnvironmentProblem, match=r"Spark 3 needs Java 8 or newer, and .* is Java 7"):
        environment.require_java({"PATH": str(tmp_path)}, "3.5.9")


def test_no_java_at_all_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentProblem, match="no `java` on the PATH") as caught:
        environment.require_java({"PATH": str(tmp_path)}, "4.2.0")
    assert "openjdk-17-jre-headless" in caught.value.next_step


def test_a_java_home_without_java_is_refused_though_the_path_has_one(tmp_path: Path) -> None:
    java(tmp_path / "java", 'openjdk version "17.0.1"')
    with pytest.raises(EnvironmentProblem, match="JAVA_HOME"):
        environment.require_java({"PATH": str(tmp_path), "JAVA_HOME": str(tmp_path / "nothing")}, "4.2.0")


def test_a_java_that_does_not_run_is_not_a_java(tmp_path: Path) -> None:
    program(tmp_path / "java", "exit 1")
    with pytest.raises(EnvironmentProblem, match="does not run as a Java"):
        environment.require_java({"PATH": str(tmp_path)}, "4.2.0")


def spark_home(folder: Path, version: str) -> dict[str, str]:
    program(folder / "bin" / "spark-submit", "")
    jar = folder / "jars" / f"spark-core_2.13-{version}.jar"
    jar.parent.mkdir()
    jar.touch()
    return {"SPARK_HOME": str(folder)}


def test_a_spark_home_of_another_minor_version_is_refused_with_both_versions(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentProblem, match=r"Spark 3\.5\.1, and the installed pyspark is 4\.2\.0") as caught:
        environment.require_matching_spark_home(spark_home(tmp_path, "3.5.1"), "4.2.0")
    assert "unset SPARK_HOME, or install pyspark==3.5.1" in caught.value.next_step


def test_a_spark_home_of_the_same_minor_version_passes(tmp_path: Path) -> None:
    environment.require_matching_spark_home(spark_home(tmp_path, "4.2.1"), "4.2.0")


def test_a_spark_home_without_a_spark_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentProblem, match="there is no Spark in it"):
        environment.require_matching_spark_home({"SPARK_HOME": str(tmp_path)}, "4.2.0")


def test_spark_defaults_are_read_in_every_form_that_spark_takes(tmp_path: Path) -> None:
    (tmp_path / "spark-defaults.conf").write_text(
        "# spark.a  1\n\nspark.b   two words  \nspark.c=3\nspark.d : 4\n  spark.e\t5\n#spark.f 6\n"
    )
    read = environment.read_spark_defaults({"SPARK_CONF_DIR": str(tmp_path)}, Path("/nowhere"))
    assert read == {"spark.b": "two words", "spark.c": "3", "spark.d": "4", "spark.e": "5"}


def test_spark_defaults_lie_in_spark_home_where_no_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "spark-defaults.conf").write_text("spark.a 1")
    assert environment.read_spark_defaults({}, tmp_path) == {"spark.a": "1"}
    assert environment.read_spark_defaults({}, tmp_path / "elsewhere") == {}


@pytest.mark.parametrize(
    ("total", "heap"), [(2 * GIB, "1024m"), (8 * GIB, "2048m"), (32 * GIB, "8192m"), (512 * GIB, "8192m")]
)
def test_the_local_heap_is_a_quarter_of_the_memory_within_bounds(total: int, heap: str) -> None:
    assert environment.local_driver_memory(total) == heap


def test_the_smallest_limit_of_the_container_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "limit").write_text("1073741824\n")
    (tmp_path / "none").write_text("max\n")
    files = (tmp_path / "none", tmp_path / "limit", tmp_path / "missing")
    monkeypatch.setattr(environment, "_CGROUP_LIMITS", files)
    assert environment.memory_bytes() == GIB


@pytest.mark.parametrize(
    ("master", "conf", "environ", "python"),
    [
        ("local[2]", {}, {}, "mine"),
        ("local-cluster[2,1,1024]", {}, {}, "mine"),
        ("local[2]", {}, {"PYSPARK_PYTHON": "theirs"}, "theirs"),
        ("local[2]", {"spark.pyspark.python": "asked"}, {"PYSPARK_PYTHON": "theirs"}, "asked"),
        ("spark://host:7077", {}, {}, None),
        ("yarn", {}, {"PYSPARK_PYTHON": "theirs"}, "theirs"),
    ],
)
def test_workers_run_what_the_user_set_else_on_this_machine_the_drivers_python(
    master: str, conf: dict[str, str], environ: dict[str, str], python: str | None
) -> None:
    assert environment.worker_python(master, conf, environ, "mine") == python


def test_an_interpreter_is_asked_for_its_version_and_what_it_cannot_import() -> None:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    probed = environment.probe_python(sys.executable, modules=("json", "no_such_module_here"))
    assert probed == (version, ("no_such_module_here",))


def test_an_interpreter_is_asked_without_what_lies_in_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("contextlib", "types", "warnings", "no_such_module_here"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'mark')!r}, 'a').write({name!r})")
    monkeypatch.chdir(tmp_path)
    probed = environment.probe_python(sys.executable, modules=("no_such_module_here",))
    assert probed is not None
    assert probed[1] == ("no_such_module_here",)
    assert not (tmp_path / "mark").exists()


def test_an_interpreter_that_fails_or_is_not_there_gives_nothing(tmp_path: Path) -> None:
    assert environment.probe_python(str(program(tmp_path / "python", "exit 3"))) is None
    assert environment.probe_python(str(tmp_path / "missing")) is None
