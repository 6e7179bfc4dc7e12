"""Settings on their way to a JVM that is about to start: in a file, since everybody can read a command line (`ps`)."""

from __future__ import annotations

import os
import re
import shlex
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from spark_infer.config.secrets import without_secrets
from spark_infer.errors import ConfigError

SUBMIT_ARGS = "PYSPARK_SUBMIT_ARGS"
_SHELL = "pyspark-shell"
_FILE = "--properties-file"
_IN_NAMES = re.compile(r"[\s:=#!\\]")
_IN_VALUES = re.compile(r"^\s|[\t\n\f\r\\]")

_JAVA_OPTIONS = "write the options to a file of your own with mode 0600, and set this to @/path/of/the/file"
_FILES = "bring the files to this machine first, and name them there"
_IVY = "give the credentials in a file of your own with mode 0600, and name that in spark.jars.ivySettings"
_SHOWN_BY_SPARK = {
    "spark.driver.extraJavaOptions": _JAVA_OPTIONS,
    "spark.driver.defaultJavaOptions": _JAVA_OPTIONS,
    "spark.executor.extraJavaOptions": _JAVA_OPTIONS,
    "spark.executor.defaultJavaOptions": _JAVA_OPTIONS,
    "spark.jars.repositories": _IVY,
    "spark.jars": _FILES,
    "spark.files": _FILES,
    "spark.archives": _FILES,
    "spark.submit.pyFiles": _FILES,
}
"""Settings that Spark itself writes to a command line or to its log, and what to do where one would hold a secret."""


def require_hidden(conf: Mapping[str, str]) -> None:
    """Refuse secrets in settings that Spark itself would show.

    Raises:
        ConfigError: With the setting and the way that is left; its value is not quoted.
    """
    for name, way in _SHOWN_BY_SPARK.items():
        if without_secrets(conf.get(name, "")) != conf.get(name, ""):
            raise ConfigError(
                f"{name} holds a secret, which Spark would write to a command line or to its log.", next_step=f"{way}."
            )


@contextmanager
def submit_arguments(conf: Mapping[str, str], environ: Mapping[str, str], defaults: Path) -> Iterator[str]:
    """Lend the value of `PYSPARK_SUBMIT_ARGS` that has a JVM read settings from a file of mode 0600.

    What the variable holds already stays, and wins where it sets something too. The file begins with the properties
    that Spark would have read without it: those of a file that the variable names, else those of ``defaults``. It is
    removed at the end, when the JVM has started.
    """
    given = shlex.split(environ.get(SUBMIT_ARGS, _SHELL))
    lines = [f"{_escaped(name, _IN_NAMES)}={_escaped(value, _IN_VALUES)}" for name, value in conf.items()]
    named = [Path(given[at + 1]) for at, word in enumerate(given[:-1]) if word == _FILE] or [defaults]
    # Spark 4 could read the defaults itself beside a file (--load-spark-defaults), Spark 3.5 cannot.
    theirs = [named[-1].read_text("utf-8")] if named[-1] != defaults or defaults.is_file() else []
    handle, path = tempfile.mkstemp(prefix="spark_infer-", suffix=".properties")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write("\n".join([*theirs, *lines, ""]))
        yield shlex.join([*given[:-1], _FILE, path, *given[-1:]])
    finally:
        Path(path).unlink(missing_ok=True)


def _escaped(text: str, special: re.Pattern[str]) -> str:
    """Escape what `java.util.Properties` would not read as it stands."""
    letters = {"\n": "n", "\r": "r", "\t": "t", "\f": "f"}
    return special.sub(lambda found: "\\" + letters.get(found[0], found[0]), text)
