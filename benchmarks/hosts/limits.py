"""The host of the limits: a pool of processes and nothing else."""

from __future__ import annotations

import argparse
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from benchmarks.hosts.protocol import serve, take_output
from benchmarks.limits import limit, model_alone

LIMIT, ALONE = "limit (no Spark)", "model alone"


def main() -> None:
    """Serve both limits until standard input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cores", type=int, required=True)
    cores: int = parser.parse_args().cores
    replies = take_output()
    # Spawned, not forked: a fork would copy the locks of other threads in whatever state they are.
    with ProcessPoolExecutor(cores, mp_context=multiprocessing.get_context("spawn")) as pool:
        serve({LIMIT: partial(limit, pool), ALONE: partial(model_alone, pool)}, replies)


if __name__ == "__main__":
    main()
