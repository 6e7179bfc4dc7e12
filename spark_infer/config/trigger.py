"""A job that follows its source as a stream: when it looks for new rows, and what it cannot be combined with."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator

from spark_infer.config.frozen import PathText
from spark_infer.config.incremental import IncrementalOptions
from spark_infer.config.places import without_credentials
from spark_infer.config.quarantined import QuarantinedOptions
from spark_infer.config.write_modes import MODES

AVAILABLE_NOW = "available_now"

_UNITS = {"s": "seconds", "second": "seconds", "m": "minutes", "minute": "minutes", "h": "hours", "hour": "hours"}
_INTERVAL = re.compile(r"(\d+) ?(second|minute|hour|s|m|h)s?")


def _trigger(given: str) -> str:
    """Return the word, or the interval as Spark spells it."""
    if given == AVAILABLE_NOW:
        return given
    found = _INTERVAL.fullmatch(given.strip().lower())
    if found is None or not int(found[1]):
        raise ValueError(f"expected `{AVAILABLE_NOW}`, or an interval such as `30 seconds`, `5 minutes` or `1 hour`")
    return f"{found[1]} {_UNITS[found[2]]}"


CheckpointPath = Annotated[PathText, AfterValidator(without_credentials)]

Trigger = Annotated[str, AfterValidator(_trigger)]
"""When a stream looks for new rows."""

NO_STREAM: dict[str, Any] = {"trigger": None, "checkpoint": None, "refresh_model": False, "stream_options": {}}
"""The keys of a stream as a job has them that is none."""

_STREAM_KEYS = ("checkpoint", "refresh_model", "stream_options")
STREAM_RULE = (
    "trigger",
    *_STREAM_KEYS,
    "engine",
    "plane",
    "source.version",
    "target.mode",
    "incremental",
    "cache",
    "aggregate",
    "quarantined",
    "min_rows",
    "fail_on_empty",
    "deadline_seconds",
    "max_runtime",
)
"""The keys that `stream_problem` takes, in its order."""


def stream_problem(
    trigger: str | None,
    checkpoint: str | None,
    refresh_model: bool,
    stream_options: dict[str, Any],
    engine: str,
    plane: str,
    version: int | None,
    mode: str,
    incremental: IncrementalOptions | None,
    cache: object,
    aggregate: object,
    quarantined: QuarantinedOptions | None,
    min_rows: int,
    fail_on_empty: bool,
    deadline_seconds: float | None,
    max_runtime: float | None,
) -> str:
    """Say what does not go together with a stream, and what to do instead; "" where all does."""
    if trigger is None:
        given = [
            name for name, value in zip(_STREAM_KEYS, (checkpoint, refresh_model, stream_options), strict=True) if value
        ]
        return f"`{given[0]}` belongs to a stream: set trigger: {AVAILABLE_NOW}, or take it out" if given else ""
    wrong = {
        "a stream needs `checkpoint`, a folder of its own that says how far it is": not checkpoint,
        "a stream needs Spark: set engine: spark": engine != "spark",
        "Spark reads a stream: leave `plane` out": plane == "direct",
        "a stream begins with all rows of the source, or where `stream_options` says (startingVersion): leave "
        "source.version out": version is not None,
        _mode_problem(mode): not MODES[mode].adds_only,
        "the checkpoint says which rows are new: leave `incremental` out": incremental is not None
        and incremental.enabled,
        "Spark reads a stream, and only workers that read files look up a prediction cache: leave `cache` out": (
            cache is not None
        ),
        "a summary is of a whole run, and a stream has none: leave `aggregate` out": aggregate is not None,
        "a stream quarantines rows without their place in a file, by which `quarantined` finds them: score them with a "
        "job whose source is the quarantine table": quarantined is not None and quarantined.enabled,
        "a stream may have no new row: leave `min_rows` and `fail_on_empty` out": bool(min_rows or fail_on_empty),
        "`readChangeFeed` brings rows that were removed too: leave it out": any(
            name.lower() in ("readchangefeed", "readchangedata") for name in stream_options
        ),
        "a stream has no end in time: leave `deadline_seconds` and `max_runtime` out; stop it, and it goes on later": (
            deadline_seconds is not None or max_runtime is not None
        ),
    }
    return "; ".join(problem for problem, is_so in wrong.items() if is_so)


def _mode_problem(mode: str) -> str:
    adding = next(each.name for each in MODES.values() if each.adds_only)
    if MODES[mode].merges:
        return f"a stream adds rows: set target.mode to {adding}, or `incremental` in place of `trigger` to {mode} them"
    return f"a stream adds rows to the target, batch by batch: set target.mode to {adding}"
