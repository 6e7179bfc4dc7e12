"""Score a table as a job file says, under spark-submit.

    spark-submit jobs/score_table.py job.yaml [--set key=value …]

Delta tables need Delta's jar, which spark-submit must bring (the newest for Spark 4.2 shown); its settings are made
here:

    spark-submit --packages io.delta:delta-spark_4.2_2.13:4.4.0 jobs/score_table.py job.yaml

The exit codes are those of `spark-infer run`: 0 done, 2 refused before anything ran, 3 environment, 4 failed while
running. docs/clusters.md has the commands for standalone, YARN and Kubernetes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import spark_infer


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="score_table.py", description="Score a table as a job file says.")
    parser.add_argument("job", metavar="JOB.YAML", help="the job file")
    parser.add_argument(
        "--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE", help="replace one value of it"
    )
    asked = parser.parse_args(arguments)
    try:
        job = spark_infer.ScoringJob.from_yaml(asked.job, asked.overrides)
        spark = job.session()
    except spark_infer.SparkInferError as error:
        print(f"refused: {error}", file=sys.stderr)
        return error.exit_code
    try:
        print(job.config.hide_environment(str(job.run(spark))))
    except spark_infer.SparkInferError as error:
        print(job.config.hide_environment(f"failed: {error}"), file=sys.stderr)
        return error.exit_code
    finally:
        spark.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
