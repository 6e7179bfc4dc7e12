"""Who can bring a run to its end: those who would have begun it in the same way."""

from __future__ import annotations

from spark_infer.engines.plane import Plane
from spark_infer.engines.unit import Way
from spark_infer.errors import UnfinishedRunError
from spark_infer.job.units.run_plan import RunPlan
from spark_infer.tables.ledger.ledger import Ledger


def can_score(plane: Plane, way: Way) -> bool:
    """Whether those who read and write in a plane can score units of this way."""
    match way:
        case Way.WORKERS:
            return plane.sink is not None
        case Way.SPARK:
            return plane.sink is None
        case Way.SPARK_BY_TASKS:
            return plane.sink is None and plane.name == "direct"
        case Way.SPARK_BY_PARTITIONS:
            return plane.sink is None and plane.name == "spark"


_DOES = {
    Way.WORKERS: ("workers wrote its rows, unit by unit", "plane: auto or direct"),
    Way.SPARK: ("Spark wrote its rows", "engine: spark and plane: spark"),
    Way.SPARK_BY_TASKS: ("workers read its rows and Spark wrote them, unit by unit", "engine: spark and plane: auto"),
    Way.SPARK_BY_PARTITIONS: ("Spark read and wrote its rows, unit by unit", "engine: spark and plane: spark"),
}


def begun_otherwise(ledger: Ledger, plan: RunPlan, done: str, way: Way, plane: Plane) -> UnfinishedRunError:
    """The error for a run that others have begun, and would have to bring to its end.

    Args:
        ledger: The run.
        plan: Its plan.
        done: What of it is done, a clause.
        way: How it was begun.
        plane: Who would read and write now.
    """
    before, settings = _DOES[way]
    now = "workers would write the rows" if plane.sink is not None else "Spark would write the rows"
    reads = "Spark would read them" if plane.name == "spark" else "workers would read them"
    return UnfinishedRunError(
        "An unfinished run of this job cannot go on in this way.",
        details=[
            f"run {ledger.name}, begun {plan.started_at:%Y-%m-%d %H:%M} UTC: {done}",
            f"{before}; now {now}, and {reads}",
        ],
        next_step=f"set {settings}, and it goes on; or give it up with --new-run (new_run=True), after which rows that "
        "it has published stay in the target.",
    )
