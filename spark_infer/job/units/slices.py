"""Which part of a job's rows a run is about: its parameters, the partitions that it reads and those that it replaces.

Runs of one job and different slices, such as two days, have ledgers of their own: neither goes on with the other, nor
waits for it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from spark_infer.config import JobConfig
from spark_infer.config.partition_values import partitions_named
from spark_infer.job.units.fingerprint import NEW_ROWS, QUARANTINED, Facts, digest
from spark_infer.observe.wording import named_values

Slice = Mapping[str, Any]

_DIGITS = 8


def slice_of(config: JobConfig) -> Slice:
    """Return the slice of a job; empty where it is about all of its source and target."""
    named: dict[str, Any] = {"params": config.shown_params}
    if config.again is not None:
        named[QUARANTINED] = {}
    if config.new_rows is None:
        source, target = (each.model_dump(mode="json") for each in (config.source, config.target))
        named["partition_filter"] = source["partition_filter"]
        named["target settings"] = {"partitions": target["partitions"]}
    return slice_in(config.hide(named))


def slice_in(facts: Facts) -> Slice:
    """Return the slice of a run that was planned."""
    if QUARANTINED in facts:  # of all parameters and partitions, whichever the command gives
        return {QUARANTINED: True}
    if NEW_ROWS in facts:  # a bookmark knows which partitions it is about, and refuses others
        return {"params": facts["params"]} if facts.get("params") else {}
    named = {
        "params": facts.get("params"),
        "partition_filter": by_column(facts.get("partition_filter")),
        "partitions": by_column(facts.get("target settings", {}).get("partitions")),
    }
    return {name: value for name, value in named.items() if value}


def slice_key(part: Slice) -> str:
    """Return the letters by which the ledgers of a slice are known; none for all of a job's rows."""
    return digest(part)[:_DIGITS] if part else ""


def slice_named(facts: Facts) -> list[str]:
    """Name the slice of a run for people: its parameters, or else its partitions."""
    if QUARANTINED in facts:
        return [QUARANTINED]
    if facts.get("params"):
        return named_values(facts["params"])
    filters = facts.get("partition_filter") or {}
    return list(partitions_named(filters or facts.get("target settings", {}).get("partitions") or {}))


def by_column(values: Mapping[str, Iterable[Any]] | None) -> dict[str, list[str]]:
    """Spell partitions in one way: the case of columns and the order of values do not count."""
    return {column.casefold(): sorted(spelled(each)) for column, each in (values or {}).items()}


def spelled(values: Iterable[Any]) -> set[str]:
    """Spell values of partitions as text, null and truth values too."""
    return {json.dumps(value) if value is None or isinstance(value, bool) else str(value) for value in values}
