"""The resources of a running application, asked of its session: settings, executors, workers of its cluster."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from typing import Any

from pyspark.sql import SparkSession

from spark_infer.spark.resources.application import (
    Application,
    Executor,
    application_of,
)
from spark_infer.spark.server import is_connect
from spark_infer.spark.session_settings import setting
from spark_infer.spark.versions import HAS_STAGE_PROFILES

GPU = "gpu"


def read_application(spark: SparkSession) -> Application:
    """Read the resources of a running application: its settings and, on classic Spark, its executors."""
    application = application_of(partial(setting, spark))
    return replace(
        application,
        executors=executors_of(spark),
        workers=_workers(spark, application),
        stage_profiles=HAS_STAGE_PROFILES,
    )


def executors_of(spark: SparkSession) -> tuple[Executor, ...]:
    """The executors that are there; empty where nobody tells (Spark Connect) or none has registered."""
    if is_connect(spark):
        return ()
    try:
        known: Any = spark.sparkContext._jsc.sc().statusStore().executorList(True)
        found = [known.apply(index) for index in range(known.size())]
        return tuple(
            Executor(cores=each.totalCores(), gpus=_gpus(each.resources().get(GPU)))
            for each in found
            if each.totalCores() > 0
        )
    except Exception:  # another Spark may keep them elsewhere: the settings then say what they can
        return ()


def _workers(spark: SparkSession, application: Application) -> tuple[Executor, ...] | None:
    """The workers of a standalone cluster, asked of its master; None where nobody tells."""
    address = re.match(r"spark://\[?([^,\]]+)\]?:(\d+)", application.master)
    if address is None or is_connect(spark) or not application.executor_gpus:
        return None
    try:
        context: Any = spark.sparkContext
        jvm, master = context._jvm, context._jsc.sc()
        where = jvm.org.apache.spark.rpc.RpcAddress(address[1], int(address[2]))
        endpoint = master.env().rpcEnv().setupEndpointRef(where, "Master")
        deploy = jvm.java.lang.Class.forName
        question = deploy("org.apache.spark.deploy.DeployMessages$RequestMasterState$").getField("MODULE$").get(None)
        answer = deploy("org.apache.spark.deploy.DeployMessages$MasterStateResponse")
        state = endpoint.askSync(question, jvm.scala.reflect.ClassTag.apply(answer))
        alive = [each for each in state.workers() if each.state().toString() == "ALIVE"]
        return tuple(Executor(cores=each.cores(), gpus=_gpus(each.resourcesInfo().get(GPU))) for each in alive)
    except Exception:  # these are Spark's inner parts; without them the plan says less
        return None


def _gpus(information: Any) -> int:
    return len(information.get().addresses()) if information.isDefined() else 0
