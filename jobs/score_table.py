"""Score a table as a job file says, under spark-submit or as a Python task of Databricks.

    spark-submit jobs/score_table.py job.yaml [--set key=value …]

The same as ``python -m spark_infer.job``, which is there without a clone: `python -m spark_infer.job --path` prints
the path of this script in the installed package.
"""

from __future__ import annotations

import runpy

runpy.run_module("spark_infer.job", run_name="__main__")
