"""When Spark should read or write a Delta table itself: features and rules of Delta that the workers do not keep.

https://github.com/delta-io/delta/blob/master/PROTOCOL.md
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from spark_infer.errors import install_extra
from spark_infer.tables.delta.log import LogState
from spark_infer.tables.paths import stays_inside
from spark_infer.tables.plan import WritePlan
from spark_infer.tables.sink.sink_spec import has_own_metadata
from spark_infer.tables.storage import split_uri

_HARMLESS_FEATURES = frozenset(
    (
        "columnMapping",
        "deletionVectors",
        "timestampNtz",
        "typeWidening",
        "typeWidening-preview",
        "v2Checkpoint",
        "vacuumProtocolCheck",
    )
)
"""Features of the reader's protocol that change nothing, or whose use shows elsewhere: in files, or in the schema."""

_EXACT_BEFORE = ("byte", "short", "integer", "long", "decimal")
"""Types whose files, and bounds in the log, hold the same numbers after their column was widened. The bounds of a float
have only the digits that tell it from other floats: as doubles they are other numbers."""

_MOST_NAMES, _MOST_CHARACTERS = 10, 100

_PLAIN_WRITER_FEATURES = frozenset(("appendOnly", "invariants", "timestampNtz", "vacuumProtocolCheck"))
_PLAIN_READER_FEATURES = frozenset(("timestampNtz", "vacuumProtocolCheck"))
_OLD_PLAIN_WRITER = 2
"""Up to this version of the writer's protocol a table knows `appendOnly` and invariants, and no other feature."""


def delta_doubts(state: LogState) -> tuple[str, ...]:
    """Why the rows of a Delta version may not be those in its files."""
    return tuple(_delta_doubts(state))


def _delta_doubts(state: LogState) -> Iterator[str]:
    protocol = state.protocol
    unknown = sorted(set(protocol.get("readerFeatures") or ()) - _HARMLESS_FEATURES)
    if unknown:
        yield f"the table has the Delta features {_named(unknown)}"
    if int(protocol.get("minReaderVersion") or 1) > 3:
        yield f"the table asks for version {protocol['minReaderVersion']} of Delta's reader protocol"
    if state.column_mapping not in ("none", "name", "id"):
        yield f"the table maps its columns by {_named([state.column_mapping])}"
    if widened := sorted({kind for kind in _widened_from(state.schema) if not kind.startswith(_EXACT_BEFORE)}):
        yield f"types of its columns were widened from {_named(widened)}"
    if not all(stays_inside(file.path) and not split_uri(file.path)[0] for file in state.files):
        yield "some of its files lie outside its folder"
    if len({file.path for file in state.files}) < len(state.files):
        yield "its log has a file more than once"


def delta_write_doubts(plan: WritePlan, conf: Mapping[str, str], existing: LogState | None) -> Iterator[str]:
    """Yield why Spark should write to a Delta table, a clause each.

    Args:
        plan: The write.
        conf: The session's settings.
        existing: The table that is there now, where its log is readable.
    """
    if importlib.util.find_spec("deltalake") is None:
        yield f"the package deltalake, which commits their files, is not installed: {install_extra('local')}"
    if "%" in (plan.location.path or ""):
        yield "deltalake takes a % in the target's path for an escape"
    if odd := sorted(set("\n\r\t\\") & set(plan.location.path or "")):
        yield f"deltalake takes no {odd[0]!r} in the target's path"
    if plan.creates:
        defaults = [name for name in conf if name.startswith("spark.databricks.delta.properties.defaults.")]
        if defaults:
            yield f"{defaults[0]} is for Spark to apply"
        if ruled := [name for name in plan.properties if name.startswith("delta.")]:
            yield f"the table property {ruled[0]} is for Delta to apply"
        return
    if existing is None:
        yield "only Spark can read the target's log"
        return
    if plan.new_schema:
        yield "the write changes the table's columns"
    if plan.mode.replaces_files and existing.appends_only:
        yield "the target takes no other writes than appends"
    if plan.mode.replaces_files and not all(file.path.isascii() for file in existing.files):
        # Spark writes such a path into the log as it is, deltalake escaped: the files to replace would not be found.
        yield "names of the files to replace are not all ASCII"
    yield from table_doubts(existing)


def table_doubts(existing: LogState) -> Iterator[str]:
    """Why Spark should write to an existing Delta table: rules that hold for its rows, and features of its own."""
    protocol, configuration = existing.protocol, existing.configuration
    features = set(protocol.get("writerFeatures") or ()) - _PLAIN_WRITER_FEATURES
    features |= set(protocol.get("readerFeatures") or ()) - _PLAIN_READER_FEATURES
    if features:
        yield f"the target has the Delta features {_named(sorted(features))}"
    elif not protocol.get("writerFeatures") and int(protocol.get("minWriterVersion") or 1) > _OLD_PLAIN_WRITER:
        yield f"the target asks for version {protocol['minWriterVersion']} of Delta's writer protocol"
    rules = [name for name in configuration if name.startswith("delta.constraints.")]
    if rules:
        yield f"the target has the constraint {_named([rules[0].removeprefix('delta.constraints.')])}"
    if existing.keeps_feed:
        yield "the target keeps a change data feed"
    if "delta.setTransactionRetentionDuration" in configuration:
        yield "the target forgets which commits it has taken (delta.setTransactionRetentionDuration)"
    if "delta.parquet.compression.codec" in configuration:
        yield "the target has a codec of its own"
    for field in existing.schema["fields"]:
        if has_own_metadata(field) or not _all_nullable(field):
            yield f"{_named([field['name']])} is NOT NULL or has a rule of its own, which Spark checks"


def _named(names: Sequence[str]) -> str:
    """A few names of a log, which anybody may have written, each cut to a length that can be read."""
    shown = [name if len(name) <= _MOST_CHARACTERS else f"{name[:_MOST_CHARACTERS]}…" for name in names[:_MOST_NAMES]]
    return ", ".join([*shown, *(["…"] if len(names) > _MOST_NAMES else [])])


def _all_nullable(part: Any) -> bool:
    if isinstance(part, Mapping):
        asked = ("nullable", "containsNull", "valueContainsNull")
        return all(part.get(key, True) for key in asked) and all(map(_all_nullable, part.values()))
    return all(map(_all_nullable, part)) if isinstance(part, list) else True


def _widened_from(part: Any) -> Iterator[str]:
    """The types that columns had before they were widened, at every depth of a schema's JSON."""
    if isinstance(part, Mapping):
        for key, value in part.items():
            if key == "delta.typeChanges":
                yield from (str(change.get("fromType", "")) for change in value)
            else:
                yield from _widened_from(value)
    elif isinstance(part, list):
        for each in part:
            yield from _widened_from(each)
