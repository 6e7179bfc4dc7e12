"""Start the JVM of a Spark session, with settings that no command line shows and a log of its own."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from spark_infer.runtime.env_variables import variables_set
from spark_infer.spark.descriptors import opened
from spark_infer.spark.properties import SUBMIT_ARGS, submit_arguments


def start_jvm(conf: Mapping[str, str], log_file: Path | None, defaults: Path) -> None:
    """Start a JVM for this process, unless it has one; under spark-submit, that is the one which started this process.

    It starts before there is a builder, since pyspark would put the settings of one on the JVM's command line.

    Args:
        conf: The settings of the session to come.
        log_file: Where the JVM and the Python workers write, for their whole life; None leaves it on the screen.
        defaults: The `spark-defaults.conf` that counts here; there may be none.
    """
    # The package pyspark-client, for Spark Connect alone, has neither.
    from pyspark import SparkContext
    from pyspark.java_gateway import launch_gateway

    if SparkContext._gateway is not None:
        return
    with ExitStack() as at_end:
        output: dict[str, Any] = {}
        if log_file is not None:
            log = at_end.enter_context(opened(log_file))
            output = {"stdout": log, "stderr": log}
        arguments = at_end.enter_context(submit_arguments(conf, os.environ, defaults))
        at_end.enter_context(variables_set({SUBMIT_ARGS: arguments}))
        gateway = launch_gateway(popen_kwargs=output)  # type: ignore[no-untyped-call]
        SparkContext._ensure_initialized(gateway=gateway)
