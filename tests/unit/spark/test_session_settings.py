"""A setting that a session does not offer was not set; every other failure to read one is raised."""

from __future__ import annotations

import pytest

from spark_infer.spark.session_settings import set_value, setting, value_in_force


class Conf:
    """The settings of a session: those set, those with a default of Spark's, and none besides."""

    def __init__(self, values: dict[str, str], defaults: dict[str, str], refusal: str) -> None:
        self._values = values
        self._defaults = defaults
        self._refusal = refusal

    def get(self, name: str, *default: str | None) -> str | None:
        if name in self._values:
            return self._values[name]
        if self._refusal:
            raise RuntimeError(self._refusal)
        return default[0] if default else self._defaults[name]


class Session:
    def __init__(self, refusal: str = "") -> None:
        self.conf = Conf({"set": "1", "empty": ""}, {"by default": "2"}, refusal)


def test_what_was_set_is_told_from_what_was_not() -> None:
    session = Session()
    assert [setting(session, name) for name in ("set", "empty", "by default")] == ["1", "", ""]
    assert [set_value(session, name) for name in ("set", "empty", "by default")] == ["1", "", None]
    assert [value_in_force(session, name) for name in ("set", "empty", "by default")] == ["1", "", "2"]


@pytest.mark.parametrize(
    "refusal",
    [
        "[CONFIG_NOT_AVAILABLE] Configuration x is not available. SQLSTATE: 42K0I",
        "[CONFIG_NOT_AVAILABLE.SERVERLESS_DELTA_PREVIEW_ENABLED] Configuration x is not available. SQLSTATE: 42K0I",
        "[SQL_CONF_NOT_FOUND] The SQL config x cannot be found. SQLSTATE: 42K0I",
        # As Py4J has it, to which PySpark 3.5 leaves it.
        "An error occurred while calling o58.get.\n: org.apache.spark.SparkNoSuchElementException: "
        "[SQL_CONF_NOT_FOUND] The SQL config x cannot be found.\n\tat org.apache.spark.sql.internal.SQLConf.get",
    ],
)
def test_what_a_session_does_not_offer_was_not_set(refusal: str) -> None:
    session = Session(refusal)
    assert (setting(session, "x"), set_value(session, "x"), value_in_force(session, "x")) == ("", None, None)
    assert setting(session, "set") == "1"


def test_a_session_that_is_gone_is_not_taken_for_one_without_settings() -> None:
    with pytest.raises(RuntimeError, match="UNAVAILABLE"):
        setting(Session("UNAVAILABLE: the server is gone"), "spark.sql.files.ignoreCorruptFiles")
