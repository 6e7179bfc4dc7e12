"""The options that both benchmarks share."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

CORES = 2
RESULTS = Path(__file__).with_name("results")
WORK = "build/bench"


def shared_parser(program: str, description: str, *, rounds: int) -> argparse.ArgumentParser:
    """Return a parser with the options that both benchmarks have."""
    parser = argparse.ArgumentParser(prog=program, description=description)
    parser.add_argument("--rounds", type=int, default=rounds, help="timed rounds (default: %(default)s)")
    parser.add_argument("--warm-ups", type=int, default=1, help="rounds that are kept but not counted, after the check")
    parser.add_argument("--engine", action="append", help="only this one; repeat for more, the first is the base")
    parser.add_argument(
        "--batch-rows", type=int, help="rows of the other engines' predict calls (default: the fastest)"
    )
    parser.add_argument("--conf", type=_key_and_value, action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--work", type=_folder, default=WORK, help="where tables, models and environments are kept")
    parser.add_argument("--results", type=_folder, default=RESULTS, help="where the report goes")
    return parser


def silence_mlflow() -> None:
    """Keep the migrations of a fresh MLflow store, and advice about its formats, off the screen."""
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _folder(text: str) -> Path:
    return Path(text).resolve()


def _key_and_value(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key, value
