"""`spark-infer demo`."""

from __future__ import annotations

import sys

from spark_infer.cli.options import Traceback
from spark_infer.cli.output import Output


def demo(show_traceback: Traceback = False) -> None:
    """Train a model on real flights, register it, and score a Delta table with it, in ./demo.

    Takes about a minute on two cores. A second run trains again only where the code or the data
    changed. What MLflow, scikit-learn and Spark print goes to demo/demo.log.
    """
    output = Output(show_traceback=show_traceback)
    with output.exit_code():
        from rich.console import Console

        from spark_infer.demo.story import LOG_FILE, tell

        output.log_file = LOG_FILE
        tell(Console(file=sys.stdout, highlight=False))
