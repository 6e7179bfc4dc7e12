"""What a backfill refuses before its first run."""

from __future__ import annotations

import pytest

from spark_infer.config import JobConfig
from spark_infer.errors import ConfigError
from spark_infer.job.backfill import backfill


@pytest.mark.parametrize("mode", ["overwrite", "error_if_exists"])
def test_runs_that_would_replace_one_anothers_rows_are_refused(mode: str) -> None:
    night = {"model": "m", "source": "in", "target": {"path": "out", "mode": mode}, "engine": "local"}
    jobs = {f"day={day}": JobConfig.model_validate(night) for day in (1, 2)}
    with pytest.raises(ConfigError, match=f"write to one table, in mode {mode}: only one of them would stay"):
        backfill(jobs)
