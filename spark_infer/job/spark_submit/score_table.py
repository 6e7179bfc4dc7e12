"""Score a table as a job file says, under spark-submit: ``python -m spark_infer.job``, as a file."""

from __future__ import annotations

import runpy

runpy.run_module("spark_infer.job", run_name="__main__")
