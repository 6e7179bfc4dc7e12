"""Say in one sentence what a write is going to do."""

from __future__ import annotations

from dataclasses import replace

from spark_infer.tables.formats import format_of
from spark_infer.tables.plan import WritePlan
from spark_infer.tables.storage import split_uri

_RENAMED = ("file", "hdfs", "viewfs")


def sentence(plan: WritePlan) -> WritePlan:
    """Return the plan with its sentence."""
    table_format = format_of(plan.location.format)
    kind = f"the {plan.location.format.capitalize()} table {plan.location.name}"
    parts = f", partitioned by {', '.join(plan.partition_by)}" if plan.partition_by else ""
    size = f", in files of about {plan.target_file_bytes:,} bytes" if plan.target_file_bytes else ""
    if plan.creates:
        how = f"make {kind}{parts}{size}, {_creation(plan)}"
    elif plan.merges:
        how = f"merge into {kind} on {', '.join(plan.keys)}, in one Delta commit when all rows are scored and staged"
    elif plan.mode == "append":
        how = f"add to {kind}{parts}{size}, {table_format.addition}"
    elif plan.scope is not None:
        how = f"replace the rows of {kind} where {plan.scope.sql}{size}, {table_format.replacement(plan)}"
    else:
        new = ", its columns or partitioning too" if plan.new_schema else ""
        how = f"replace all rows of {kind}{new}{parts}{size}, {table_format.replacement(plan)}"
    left = f"; {', '.join(plan.filled)} as the table fills them: null, or by their own rule" if plan.filled else ""
    return replace(plan, how=how + left)


def _creation(plan: WritePlan) -> str:
    if plan.location.table:
        return "through the catalog once all rows are written"
    if split_uri(plan.location.path or "")[0] in _RENAMED:
        return "written beside it and renamed when complete"
    return format_of(plan.location.format).creation
