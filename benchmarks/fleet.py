"""The fleet: which engine lives in which host, and the hosts that are up."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.hosts.host import Host
from benchmarks.peers.environments import python_of
from benchmarks.workload import Workload

OURS = "spark_infer"
COMPILED = "spark_infer, compiled"
BY_LLVM = "spark_infer, by LLVM"
LIMIT, ALONE = "limit (no Spark)", "model alone"
SPARK_UDF = "mlflow spark_udf"
RAY, DAFT = ("Ray Data", "Ray Data, tasks"), ("Daft", "Daft, processes")
NOT_ACCELERATED = "without acceleration"


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where an engine lives.

    Attributes:
        module: Its host's module in `hosts/`.
        peer: Its virtual environment, where it has one of its own.
        apart: Whether it has a host of its own, since workers keep settings of their process.
    """

    module: str
    peer: str | None = None
    apart: bool = False


SPARK = Place(module="spark")

ENGINES: dict[str, Place] = {
    OURS: SPARK,
    "spark_infer, engine local": SPARK,
    COMPILED: SPARK,
    BY_LLVM: SPARK,
    "spark_infer, spark plane": SPARK,
    "spark_infer.score": SPARK,
    SPARK_UDF: SPARK,
    "predict_batch_udf": SPARK,
    "mapInPandas by hand": SPARK,
    "mapInArrow by hand": SPARK,
    **dict.fromkeys(RAY, Place(module="ray_data", peer="ray")),
    **dict.fromkeys(DAFT, Place(module="daft_udf", peer="daft")),
    LIMIT: Place(module="limits"),
    ALONE: Place(module="limits"),
}
"""Every engine, ours first, in the order of the tables."""

QUICK = (
    OURS,
    "spark_infer, spark plane",
    "spark_infer.score",
    SPARK_UDF,
    "mapInArrow by hand",
    LIMIT,
    ALONE,
)

ABLATIONS: dict[str, Place] = {
    "without the direct plane": SPARK,
    "without native backends": SPARK,
    "without the model cache": SPARK,
    "with batches of 1,000 rows": SPARK,
    "with batches of 10,000 rows": SPARK,
    "with batches of 30,000 rows": SPARK,
    NOT_ACCELERATED: Place(module="spark", apart=True),
}
"""Ours with one technique turned off; the options are in `engines.py`."""

ONLY_IN = {COMPILED: ("W2", "W5"), BY_LLVM: ("W2", "W5")}
"""Engines that take part in some workloads only: compiling pays for LightGBM, and is refused for most others."""

TOLERANCES = {COMPILED: 1e-12, BY_LLVM: 1e-12}
"""How far floats may lie from the limit's where they are those of another library."""

WRITES_NOTHING = frozenset({ALONE})


@dataclass
class Fleet:
    """The hosts of one workload; each is started when its first engine is called.

    Attributes:
        cores: Tasks that run at once.
        work: Folder for logs and virtual environments.
        conf: Settings of the Spark session.
    """

    cores: int
    work: Path
    conf: Mapping[str, str]
    hosts: dict[Place, Host] = field(default_factory=dict)

    def host_of(self, engine: str) -> Host:
        """Return the host of an engine; one that has ended is started again."""
        place = place_of(engine)
        if place in self.hosts and not self.hosts[place].is_alive:
            self.hosts.pop(place).close()
        if place not in self.hosts:
            self.hosts[place] = self.start(place)
        return self.hosts[place]

    def start(self, place: Place) -> Host:
        """Start a host."""
        arguments = ["--cores", str(self.cores)]
        if place.module == "spark":
            arguments += [f"--conf={key}={value}" for key, value in self.conf.items()]
        return Host(
            place.module,
            python=python_of(place.peer, self.work) if place.peer else sys.executable,
            log=self.work / "logs" / f"{place.module}.log",
            arguments=arguments,
            environment={},
        )

    def versions(self) -> dict[str, str]:
        """Return the versions that the hosts of other environments named."""
        return {name: value for host in self.hosts.values() for name, value in host.versions.items()}


def place_of(engine: str) -> Place:
    """Return where an engine, or one with a technique turned off, lives."""
    return (ENGINES | ABLATIONS)[engine]


@contextmanager
def open_fleet(workload: Workload, *, cores: int, work: Path, conf: Mapping[str, str]) -> Iterator[Fleet]:
    """Have hosts for one workload, and end them afterwards: their workers keep models and memory."""
    fleet = Fleet(cores=cores, work=work, conf=dict(workload.spark_conf) | dict(conf))
    try:
        yield fleet
    finally:
        for host in fleet.hosts.values():
            host.close()
