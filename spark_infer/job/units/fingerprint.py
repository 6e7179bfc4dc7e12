"""What decides the rows of a run: its fingerprint, and how two of them differ."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

import spark_infer
from spark_infer.config import FunctionStep, JobConfig
from spark_infer.config.params import shown_params
from spark_infer.config.write_modes import MODES, WriteMode
from spark_infer.models.recipe import Recipe
from spark_infer.models.ref import ModelRef
from spark_infer.tables.bookmark import BookmarkMove
from spark_infer.tables.listing import SourceFile
from spark_infer.tables.location import TableLocation
from spark_infer.tables.snapshot import Snapshot
from spark_infer.tables.spark_json import type_json

Facts = Mapping[str, Any]

SECRETS = "of secrets"
"""The fact that holds digests of those facts that have a secret, which is hidden in them."""

VARIABLES = "of the environment"
"""The same in ledgers of a version that hid every value of a variable, and not secrets alone."""

_OF_USERS = ("params", "source", "where", "partition_filter", "target settings", "score", "quarantine", "aggregate")
"""Facts with text of the user's own, where a secret may stand."""

FILES = "source files"
"""The fact that holds a short digest of each file that is read, one after the other; None where they are not known."""

FILE_DIGITS = 12

_STORED = "rows stored by "

_NOT_OF_ROWS = {
    *("path", "table", "format", "location", "properties", "target_file_bytes", "ledger_users", "ledger_group"),
}
"""Settings of a target that change no row."""

SOURCE_STATE = ("source version", FILES)
"""Facts that a commit to the source changes."""

NEW_ROWS = "new rows"
"""The fact of an incremental run that says which rows it reads, by the bookmarks that it moves between."""

QUARANTINED = "quarantined rows"
"""The fact of a run that scores quarantined rows again: of which runs, and the files that hold them."""

_NO_MATTER = (
    "batch_size",
    "max_batch_bytes",
    "cache_bytes",
    "model_files",
    "deduplicate",
    "row_order",
    "accelerate",
    "load_seconds",
    "predict_seconds",
    "trust",
    "digests",
    "refuse_pickle",
    "scan_pickle",
    "on_error",
    "error_column",
    "max_bad_rows",
    "max_bad_fraction",
    "isolation",
    "hosting",
    "prefetch",
    "expect",
)
"""Options that change how fast rows are scored, or whether they are, and never the rows; or facts of their own."""


def deciding_facts(
    config: JobConfig,
    recipe: Recipe,
    snapshot: Snapshot,
    target: TableLocation,
    *,
    source_schema: pa.Schema,
    schema: pa.Schema,
    move: BookmarkMove | None = None,
    again: Facts | None = None,
) -> dict[str, Any]:
    """Return all that decides what a run writes; two runs with equal facts write equal rows.

    Args:
        config: The job.
        recipe: How its rows are scored.
        snapshot: The source, pinned.
        target: Where the rows go.
        source_schema: The source's columns.
        schema: The target's columns.
        move: How an incremental run moves the bookmark of its target.
        again: Which quarantined rows are scored again; None for a run that scores its source.
    """
    ref = recipe.ref
    facts: dict[str, Any] = {
        "job": config.name,
        "model": f"{ref.name} version {ref.version}",
        "model digest": ref.digest,
        "compiled": "" if recipe.load.artefact is None else recipe.load.artefact.digest,
        "source": snapshot.location.name,
        "source version": source_state(snapshot),
        "source columns": _columns(source_schema),
        "where": config.source.where,
        "partition_filter": config.source.model_dump(mode="json")["partition_filter"],
        "format": target.format,
        "target settings": config.target.model_dump(mode="json", exclude=_NOT_OF_ROWS),
        "columns": _columns(schema),
        "score": _score(config),
        "code of the steps": dict(_code(config)),
        "spark_infer": spark_infer.__version__,
    }
    if move is not None:
        facts[NEW_ROWS] = {name: None if each is None else each.to_facts() for name, each in vars(move).items()}
    if again is not None:
        facts[QUARANTINED] = again
    if config.score.on_error != "fail":
        facts["on_error"] = config.score.on_error
    if config.quarantine is not None:
        facts["quarantine"] = config.quarantine.model_dump(mode="json")
    if config.aggregate is not None:
        facts["aggregate"] = config.aggregate.model_dump(mode="json")
    if config.least_rows:
        facts["min_rows"] = config.least_rows
    if config.params:
        facts["params"] = config.shown_params
    if config.score.row_order == "trust":  # the rows of such a run may hold the predictions of others
        facts["row_order"] = config.score.row_order
    shown = facts | {"score": _shown(facts["score"])}
    hidden = {name: config.hide(fact) if name in _OF_USERS else fact for name, fact in shown.items()}
    of_secrets = {name: digest(facts[name]) for name in facts if hidden[name] != facts[name]}
    if config.score.extra_env:
        of_secrets["extra_env"] = recipe.load.variables_digest
    return {**hidden, FILES: _files(snapshot), SECRETS: of_secrets}


def scoring_digest(config: JobConfig, ref: ModelRef) -> str:
    """Return one text for what makes the predictions of a row: the model, the options, and the code of the steps."""
    score = config.hide(_shown(_score(config)))
    return digest([ref.digest, score, sorted(_code(config)), config.score.row_order == "trust"])


def _score(config: JobConfig) -> dict[str, Any]:
    return config.score.model_dump(mode="json", by_alias=True, exclude={*_NO_MATTER, "extra_env"})


def _shown(score: Mapping[str, Any]) -> dict[str, Any]:
    return {**score, **{name: shown_params(score[name]) for name in ("params", "model_config")}}


def _columns(schema: pa.Schema) -> list[Any]:
    """The columns of a schema, in one spelling whoever wrote it, without comments and other metadata."""
    return [[field.name, _plain(type_json(field))] for field in schema]


def _plain(part: Any) -> Any:
    if isinstance(part, list):
        return [_plain(each) for each in part]
    if not isinstance(part, dict):
        return part
    return {key: _plain(value) for key, value in sorted(part.items()) if key not in ("metadata", "nullable")}


def mode_of(facts: Facts) -> WriteMode:
    """The write mode of a run."""
    return MODES[facts["target settings"]["mode"]]


def fingerprint(facts: Facts) -> str:
    """Return one text of 64 hex digits for the facts."""
    return digest(facts)


def job_key(source: TableLocation) -> str:
    """Return what the runs of one job have in common besides its name and its target: where its rows come from.

    The target is the one that the ledger lies beside, by whatever path both are reached.
    """
    return digest(source.name)[:8]


def differences(before: Facts, now: Facts) -> list[str]:
    """Tell how the facts of two runs differ, a sentence each."""
    names = [name for name in {**before, **now} if name != FILES]  # the version of the source differs with them
    return [_difference(name, before.get(name), now.get(name)) for name in names if before.get(name) != now.get(name)]


def _difference(name: str, before: Any, now: Any) -> str:
    if _is_columns(before) and _is_columns(now) and dict(before) != dict(now):
        before, now = dict(before), dict(now)
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        keys = [key for key in {**before, **now} if before.get(key) != now.get(key)]
        return "; ".join(f"{name}, {key}: {_short(before.get(key))} then, {_short(now.get(key))} now" for key in keys)
    return f"{name}: {_short(before)} then, {_short(now)} now"


def _is_columns(value: Any) -> bool:
    """Whether it is a list of names and types, each name once."""
    pairs = isinstance(value, list) and all(isinstance(each, list) and len(each) == 2 for each in value)
    return pairs and len({str(name) for name, _ in value}) == len(value)


def _short(value: Any) -> str:
    if value is None:
        return "nothing"
    text = value if isinstance(value, str) else json.dumps(value)
    if re.fullmatch(r"[0-9a-f]{64}", text):
        return text[:12]
    return text if len(text) <= 100 else f"{text[:60]}… ({len(text):,} characters, {digest(value)[:8]})"


def source_state(snapshot: Snapshot) -> str:
    """Name the state of a source: its version, or its files."""
    location = snapshot.location
    if snapshot.version is not None:
        return f"version {snapshot.version} of table {snapshot.table_id[:8]}"
    if location.words and not location.stored:
        return "rows not stored yet"
    if snapshot.every_file is None:
        return "unknown"
    files = sorted((file.path, file.size, file.modified_ns) for file in snapshot.every_file)
    stored = f"{_STORED}{location.stored}: " if location.stored else ""
    return f"{stored}{len(files):,} files of {sum(size for _, size, _ in files):,} bytes ({digest(files)[:12]})"


def version_in(facts: Facts) -> int | None:
    """Return the version that a run reads; None where its source has none."""
    found = re.match(r"version (\d+) of table ", facts["source version"])
    return int(found[1]) if found else None


def stored_session(facts: Facts) -> str:
    """Return the session that stored the rows of a run; "" for one that reads its source where it is."""
    found = re.match(rf"{_STORED}(\w+): ", facts.get("source version", ""))
    return found[1] if found else ""


def _files(snapshot: Snapshot) -> str | None:
    files = snapshot.every_file
    return None if files is None else "".join(sorted(map(file_digest, files)))


def file_digest(file: SourceFile) -> str:
    """Return a few digits for a file that is read; one that was written again has others."""
    deleted = () if file.vector is None else (str(file.vector),)
    return digest((file.path, file.size, file.modified_ns, *deleted))[:FILE_DIGITS]


def _code(config: JobConfig) -> Iterator[tuple[str, str]]:
    """The digest of every file that a step's function is in."""
    steps = [step.function for step in config.score.postprocess if isinstance(step, FunctionStep)]
    for spec in filter(None, [config.score.preprocess, *steps]):
        found = importlib.util.find_spec(spec.partition(":")[0])
        if found is not None and found.origin is not None and Path(found.origin).is_file():
            yield spec, hashlib.sha256(Path(found.origin).read_bytes()).hexdigest()[:12]


def digest(value: Any) -> str:
    """Return 64 hex digits for a value that JSON can hold."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
