"""What Spark's analysis refused, read from its exceptions without importing PySpark, which engine `local` may lack."""

from __future__ import annotations

import re

from spark_infer.errors import nearest

_OF_JAVA = re.compile(r"\s*(?:Caused by)?: [\w.$]+: (.+)")
_IN_JAVA = re.compile(r"^: [\w.$]+: \[([A-Z][A-Z0-9_.]*)\]", re.MULTILINE)
_DECORATION = re.compile(r"^\[[A-Z0-9_.]+\]\s*|\s*SQLSTATE: \w+.*$")


def condition(error: BaseException) -> str:
    """Name of the error condition (``PATH_NOT_FOUND``, ``DELTA_VERSION_NOT_FOUND``, …), or ``""``."""
    for getter in ("getCondition", "getErrorClass"):
        if callable(found := getattr(error, getter, None)):
            return str(found() or "")
    # PySpark leaves some of Java's exceptions to Py4J, which has their text alone.
    named = _IN_JAVA.search(str(error))
    return named[1] if named else ""


def parameters(error: BaseException) -> dict[str, str]:
    """The facts that Spark put into the error's message."""
    getter = getattr(error, "getMessageParameters", None)
    return dict((getter() or {}) if callable(getter) else {})


def sentence_of(error: BaseException) -> str:
    """The error's sentence, without the condition's name before it and the query plan after it."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    # What Py4J says of an exception that Spark has not translated has the exceptions of Java below, the cause last.
    causes = [match[1] for line in lines if (match := _OF_JAVA.fullmatch(line))]
    if causes and lines[0].startswith("An error occurred while calling"):
        lines = causes[-1:]
    return _DECORATION.sub("", _DECORATION.sub("", lines[0].strip())) if lines else type(error).__name__


def refused_condition(error: BaseException, columns: list[str]) -> str:
    """Say why Spark refused a SQL condition over these columns, with the nearest names."""
    if condition(error).startswith("UNRESOLVED_COLUMN"):
        name = parameters(error).get("objectName", "").replace("`", "")
        return f"there is no column {name!r}{nearest(name, columns)}"
    return sentence_of(error)
