"""How many rows of a run may be bad, and what is expected of the others: judged before each unit is sealed."""

from __future__ import annotations

from spark_infer.config import ScoreOptions
from spark_infer.core.bad_rows import BadRowLimits
from spark_infer.core.expect import refuse_constant, refuse_missing
from spark_infer.core.stats import TaskTotals
from spark_infer.engines.unit_run import Scored
from spark_infer.job.units.runs import before_running
from spark_infer.tables.ledger.ledger import Ledger


class RowLimits:
    """Counts the rows of a run's units, those of earlier commands included.

    Args:
        options: How many rows may be bad, and what is expected of the others.
        ledger: The run's account.
        units: How many units the run has.
    """

    def __init__(self, options: ScoreOptions, ledger: Ledger, units: int) -> None:
        self._limits = BadRowLimits.of(options)
        self._expected = options.expect
        self._units = units
        with before_running():
            sealed = ledger.all_sealed()
        self._counted = {unit: TaskTotals.of_tasks(entry.stats) for unit, entry in sealed.items()}

    def admit(self, scored: Scored) -> None:
        """Count a unit that is scored.

        Raises:
            TooManyBadRowsError: With this unit, too many rows of the run are bad.
            UnexpectedPredictionsError: With it, the predictions are not as expected.
        """
        self._counted[scored.unit.ordinal] = TaskTotals.of_tasks(scored.stats)
        whole = TaskTotals.of_tasks([each.as_task() for each in self._counted.values()])
        if whole.bad_rows:
            why = next(iter(whole.error_classes), "")
            self._limits.refuse(whole.bad_rows, whole.rows, why=why, whole=len(self._counted) == self._units)
        refuse_missing(whole.outputs, self._expected)
        refuse_constant(whole.outputs, whole.rows - whole.bad_rows, self._expected)
