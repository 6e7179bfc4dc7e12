"""The Spark session that the command line starts."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, field_validator

from spark_infer.config.frozen import Frozen, rule


class SparkConfig(Frozen):
    """The Spark session that the command line starts; a session of your own is used as it is.

    Example:
        >>> SparkConfig(master="local[2]", conf={"spark.driver.memory": "4g"})
        SparkConfig(master='local[2]', app_name=None, conf={'spark.driver.memory': '4g'})
    """

    free_names: ClassVar[tuple[str, ...]] = ("conf",)

    master: str | None = Field(
        default=None, description="Spark master, `local[2]` or `spark://…`; without it spark-submit's, else `local[*]`."
    )
    remote: str | None = Field(
        default=None,
        repr=False,
        description="Spark Connect server instead of a master: `sc://host:15002/;token=${secret:TOKEN}`; without both, "
        "`SPARK_REMOTE` of the environment.",
    )
    app_name: str | None = Field(default=None, description="Name in the Spark UI; without it the job's name.")
    conf: dict[str, str] = Field(default_factory=dict, description="Spark settings by their exact names.")

    @field_validator("remote")
    @classmethod
    def _is_an_address(cls, given: str | None) -> str | None:
        if given is not None and not given.startswith("sc://"):
            raise ValueError(
                "the address of a Spark Connect server begins with sc://"
            )  # it may hold a token: not shown
        return given

    @rule("master", "remote")
    @staticmethod
    def _one_server(master: str | None, remote: str | None) -> str:
        return "give either `master` or `remote`, not both" if master is not None and remote is not None else ""
