"""Rules of a Delta table that some rows, or some ways to write them, can never keep: found before any row is scored."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from spark_infer.config import TargetConfig
from spark_infer.config.write_modes import WriteMode
from spark_infer.errors import TargetError
from spark_infer.tables.delta.log import LogState
from spark_infer.tables.delta.merge_rules import merge_problems
from spark_infer.tables.location import TableLocation

_GENERATED = "delta.generationExpression"
_FILLED = {"delta.identity.start", _GENERATED, "CURRENT_DEFAULT"}


class DeltaRules:
    """What a Delta table asks of a write; a `TargetRules`.

    Args:
        location: The table.
        log: What its log says; None where there is none, or only Spark can read it.
    """

    def __init__(self, location: TableLocation, log: LogState | None) -> None:
        self._location = location
        self._log = log

    def refuse(self, target: TargetConfig) -> None:
        """Refuse to take rows out of a table whose rules forbid that; a commit that fails leaves it as it was."""
        if not target.write_mode.adds_only and self._log is not None and self._log.appends_only:
            raise TargetError(
                f"The table {self._location.name} takes no other writes than appends (delta.appendOnly).",
                next_step="choose mode append, or change the table.",
            )

    def optional_columns(self, names: Collection[str], nullable: Collection[str], mode: WriteMode) -> tuple[str, ...]:
        """Return the columns that are null in rows without them, or that Delta itself fills.

        An append may lack a partition column only where Delta generates it, and rows that replace partitions have to
        say which.
        """
        filled = {each["name"] for each in self._fields if _FILLED & set(_metadata(each))}
        generated = {each["name"] for each in self._fields if _GENERATED in _metadata(each)}
        parts = () if mode.merges or self._log is None else self._log.partition_columns
        needed = {name for name in parts if name not in generated or not mode.adds_only}
        return tuple(name for name in names if name in {*nullable, *filled} - needed)

    def problems(self, target: TargetConfig, types: Mapping[str, str]) -> list[str]:
        """List the identity columns that rows have values for, and what a merge cannot do."""
        mode = target.write_mode
        found = [] if mode.replaces_table else self._identity_problems(types, merges=mode.merges)
        return [*found, *(merge_problems(target.keys, types, self._fields) if mode.merges else ())]

    def _identity_problems(self, brought: Collection[str], *, merges: bool) -> list[str]:
        """List the identity columns that rows with values of their own cannot go into.

        MERGE updates no identity column of either kind.
        """
        marked = [each for each in self._fields if "delta.identity.start" in _metadata(each)]
        marked = [each for each in marked if each["name"] in brought]
        closed = [each["name"] for each in marked if not _metadata(each).get("delta.identity.allowExplicitInsert")]
        problems = [f"{name} is GENERATED ALWAYS AS IDENTITY, so that only Delta fills it" for name in closed]
        if merges:
            open_ = [each["name"] for each in marked if each["name"] not in closed]
            problems += [f"{name} is an identity column, which Delta's MERGE does not update" for name in open_]
        return problems

    @property
    def _fields(self) -> list[Mapping[str, Any]]:
        return list(self._log.schema.get("fields", ())) if self._log is not None else []


def _metadata(field: Mapping[str, Any]) -> Mapping[str, Any]:
    return field.get("metadata") or {}
