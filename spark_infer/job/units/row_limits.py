"""How many rows of a run may be without a prediction: judged over its units, before each is sealed."""

from __future__ import annotations

from spark_infer.core.bad_rows import BadRowLimits
from spark_infer.core.stats import TaskTotals
from spark_infer.engines.unit_run import Scored
from spark_infer.job.units.runs import before_running
from spark_infer.tables.ledger.ledger import Ledger


class RowLimits:
    """Counts the rows of a run's units, those of earlier commands included.

    Args:
        limits: How many rows may be bad.
        ledger: The run's account.
        units: How many units the run has.
    """

    def __init__(self, limits: BadRowLimits, ledger: Ledger, units: int) -> None:
        self._limits = limits
        self._units = units
        with before_running():
            sealed = ledger.all_sealed()
        self._counted = {unit: TaskTotals.of_tasks(entry.stats) for unit, entry in sealed.items()}

    def admit(self, scored: Scored) -> None:
        """Count a unit that is scored.

        Raises:
            TooManyBadRowsError: With this unit, too many rows of the run are bad.
        """
        self._counted[scored.unit.ordinal] = TaskTotals.of_tasks(scored.stats)
        counted = self._counted.values()
        bad, rows = sum(each.bad_rows for each in counted), sum(each.rows for each in counted)
        if bad:
            why = next(name for each in counted for name in each.error_classes or [""] if each.bad_rows)
            self._limits.refuse(bad, rows, why=why, whole=len(self._counted) == self._units)
