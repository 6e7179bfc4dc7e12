"""A real S3-compatible server on the loopback, and what it was asked for."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from pyarrow import fs

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "an-id", "AWS_SECRET_ACCESS_KEY": "hunter2", "AWS_REGION": "us-east-1"}


@dataclass(eq=False)  # handlers are kept in sets
class ObjectStore(logging.Handler):
    """A bucket named ``bucket``; `environ` is what a process needs to reach it."""

    address: str
    requests: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(logging.INFO)

    def emit(self, record: logging.LogRecord) -> None:
        self.requests.append(record.getMessage())

    def count(self, method: str, name: str) -> int:
        """How many requests of a method named an object."""
        return sum(f"{method} /bucket/" in request and name in request for request in self.requests)

    @property
    def environ(self) -> dict[str, str]:
        return {**CREDENTIALS, "AWS_ENDPOINT_URL": f"http://{self.address}"}

    @property
    def files(self) -> fs.S3FileSystem:
        return fs.S3FileSystem(
            endpoint_override=self.address,
            scheme="http",
            region="us-east-1",
            access_key="an-id",
            secret_key="hunter2",
            allow_bucket_creation=True,
        )


@contextmanager
def object_store() -> Iterator[ObjectStore]:
    """Run the server in a thread of this process."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    log = logging.getLogger("werkzeug")
    before = (log.level, log.propagate)
    server.start()
    store = ObjectStore("{}:{}".format(*server.get_host_and_port()))
    log.setLevel(logging.INFO)
    log.propagate = False
    log.addHandler(store)
    try:
        store.files.create_dir("bucket")
        yield store
    finally:
        log.removeHandler(store)
        log.level, log.propagate = before
        server.stop()


@contextmanager
def reaching(environ: dict[str, str]) -> Iterator[None]:
    """Give this process the environment of one that reaches the store."""
    before = {name: os.environ.get(name) for name in environ}
    os.environ.update(environ)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
