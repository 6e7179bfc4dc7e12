"""Settings reach a JVM in a file that nobody else can read, and none that Spark would show holds a secret."""

from __future__ import annotations

import shlex
import stat
from pathlib import Path

import pytest

from spark_infer.errors import ConfigError
from spark_infer.spark.properties import SUBMIT_ARGS, require_hidden, submit_arguments


def test_settings_are_in_a_file_of_mode_0600_that_is_gone_afterwards() -> None:
    conf = {"spark.my.password": " a\\b\nc", "spark.a b:c": "é=#"}
    with submit_arguments(conf, {}, Path("/nowhere/spark-defaults.conf")) as arguments:
        option, path, *others = shlex.split(arguments)
        file = Path(path)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert file.read_text("utf-8") == "spark.my.password=\\ a\\\\b\\nc\nspark.a\\ b\\:c=é=#\n"
    assert option == "--properties-file"
    assert others == ["pyspark-shell"]
    assert not file.exists()


def test_what_the_variable_holds_stays(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("spark.mine 1\n")
    given = f"--packages 'a b' --properties-file {tmp_path}/mine pyspark-shell"
    (tmp_path / "spark-defaults.conf").write_text("spark.mine 3\n")
    defaults = tmp_path / "spark-defaults.conf"
    with submit_arguments({"spark.ours": "2"}, {SUBMIT_ARGS: given}, defaults) as arguments:
        *before, option, path, shell = shlex.split(arguments)
        assert before == ["--packages", "a b", "--properties-file", f"{tmp_path}/mine"]
        assert (option, shell) == ("--properties-file", "pyspark-shell")
        assert Path(path).read_text("utf-8") == "spark.mine 1\n\nspark.ours=2\n"


def test_the_defaults_stay_where_the_variable_names_no_file(tmp_path: Path) -> None:
    defaults = tmp_path / "spark-defaults.conf"
    defaults.write_text("spark.ours 1\nspark.mine 3")
    with submit_arguments({"spark.ours": "2"}, {}, defaults) as arguments:
        path = shlex.split(arguments)[1]
        # Of two values Java's properties keep the last.
        assert Path(path).read_text("utf-8") == "spark.ours 1\nspark.mine 3\nspark.ours=2\n"


@pytest.mark.parametrize(
    ("name", "value", "way"),
    [
        ("spark.driver.extraJavaOptions", "-Xss4m -Djavax.net.ssl.trustStorePassword=hunter2", "@/path"),
        ("spark.executor.extraJavaOptions", "-Dmy.api.key=hunter2", "@/path"),
        ("spark.jars.repositories", "https://me:hunter2@repo.corp/maven", "ivySettings"),
        ("spark.jars.repositories", "https://repo.corp/maven,me:hunter2@repo.corp/maven", "ivySettings"),
        ("spark.jars", "https://repo.corp/a.jar?token=hunter2", "bring the files"),
    ],
)
def test_secrets_that_spark_itself_would_show_are_refused_with_another_way(name: str, value: str, way: str) -> None:
    with pytest.raises(ConfigError, match=name) as refused:
        require_hidden({name: value})
    assert way in refused.value.next_step
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("spark.driver.extraJavaOptions", "-Xss4m -Dlog4j2.configurationFile=file:/a.xml @/home/me/options"),
        ("spark.jars.repositories", "https://repo.corp/maven,https://host:8443/maven"),
        ("spark.jars", "s3a://bucket/a.jar,/a/b.jar"),
        ("spark.hadoop.fs.s3a.secret.key", "hunter2"),
    ],
)
def test_other_settings_stay(name: str, value: str) -> None:
    require_hidden({name: value})
