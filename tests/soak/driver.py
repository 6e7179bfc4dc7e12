"""A driver of its own: reads a job as JSON from the command line, runs it, prints the report as JSON."""

from __future__ import annotations

import json
import sys
from typing import Any

from spark_infer import ScoringJob
from spark_infer.config import JobConfig


def main(document: dict[str, Any]) -> None:
    """Run one job."""
    report = ScoringJob(JobConfig.model_validate(document)).run()
    print(json.dumps(report.to_dict()))  # noqa: T201


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
