"""What loading and trying a model on the driver showed; the next incremental run of the same scoring may believe it.

Loading takes seconds, as long as scoring 100,000 rows may. A run leaves the result beside its report, under a key of
all that it depends on: the model, the options, the source's columns, and the libraries that are installed.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import spark_infer
from spark_infer.config import JobConfig
from spark_infer.engines.base import Scoring
from spark_infer.engines.prepared_job import Source
from spark_infer.job.units.fingerprint import digest, scoring_digest
from spark_infer.models.accelerate.accelerated import OFF
from spark_infer.models.backends.spec import NotLoaded
from spark_infer.models.installed import installed_version
from spark_infer.models.pins import pinned
from spark_infer.models.rehearsal import NOT_LOADED, Rehearsal, rehearse
from spark_infer.models.requirements import requirements
from spark_infer.runtime.process_state import this_process

FACT = "trial"
"""What a finished run calls it in the ledger."""

_TYPES = {
    "how": str,
    "acceleration": str,
    "by_row": bool,
    "batch_rows": int | None,
    "size_bytes": int | None,
    "row_order": str,
    "any_size": bool,
}
_OF_REHEARSAL = ("row_order", "any_size")


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What loading and trying a model here showed.

    Attributes:
        how: How batches reach it.
        acceleration: How it is asked faster than by its library alone, or why it is not.
        by_row: Whether it is known to look at each row by itself.
        batch_rows: The rows of the batches that it is fastest with, where it says so.
        size_bytes: What it took of this process's memory; None where it was not loaded.
        rehearsal: What became of trying it.
    """

    how: str
    acceleration: str = ""
    by_row: bool = False
    batch_rows: int | None = None
    size_bytes: int | None = None
    rehearsal: Rehearsal = field(default_factory=Rehearsal)

    def to_facts(self, key: str) -> dict[str, Any]:
        """Return what a later run may believe; nothing where the model did not behave as promised."""
        seen = {name: getattr(self.rehearsal, name) for name in _OF_REHEARSAL}
        if self.rehearsal != Rehearsal(**seen):
            return {}
        facts = {name: value for name, value in vars(self).items() if name != "rehearsal"}
        return {FACT: {**facts, **seen, "key": key}}

    @classmethod
    def of_facts(cls, facts: Mapping[str, Any], key: str) -> Trial | None:
        """Read the trial of an earlier run; None where it was another one's."""
        found = facts.get(FACT)
        if not isinstance(found, Mapping) or found.get("key") != key:
            return None
        if not all(isinstance(found.get(name), kind) for name, kind in _TYPES.items()):
            return None
        known: dict[str, Any] = {name: found.get(name) for name in _TYPES if name not in _OF_REHEARSAL}
        return cls(**known, rehearsal=Rehearsal(**{name: found[name] for name in _OF_REHEARSAL}))


UNTRIED = Trial(how=NotLoaded.how)
"""For a job without rows, which needs no model."""


def trial_key(config: JobConfig, scoring: Scoring, source: Source) -> str:
    """Return one text for all that the trial of a model depends on."""
    ref, folder = scoring.recipe.ref, scoring.store.path(scoring.recipe.ref.digest)
    names = {*pinned(folder), *(each.distribution for each in requirements(ref.mlmodel, scoring.recipe.load.backend))}
    return digest(
        [
            spark_infer.__version__,
            [platform.python_version(), platform.machine(), config.engine],
            sorted((name, str(installed_version(name))) for name in names),
            [scoring_digest(config, ref), config.score.accelerate, config.score.row_order],
            str(source.schema),
        ]
    )


def try_model(scoring: Scoring) -> Rehearsal:
    """Try the model here, unless it is meant for another place, or not to be loaded."""
    if not scoring.loads:
        return NOT_LOADED
    loaded = scoring.load_here()
    if not scoring.tried_here:
        return Rehearsal()
    return rehearse(scoring.recipe, loaded, _folder(scoring))  # type: ignore[arg-type]


def trial_of(scoring: Scoring, rehearsal: Rehearsal) -> Trial:
    """Return what is known of the model, which is loaded unless that is not wanted."""
    loaded = scoring.load_here()
    acceleration = OFF if not scoring.recipe.load.accelerate else getattr(loaded, "acceleration", "")
    if rehearsal.difference is not None:
        acceleration = f"off, since it was seen to answer otherwise ({rehearsal.difference})"
    return Trial(
        how=loaded.how,
        acceleration=acceleration,
        by_row=getattr(loaded, "by_row", False),
        batch_rows=getattr(loaded, "batch_rows", None) if scoring.like_workers else None,
        size_bytes=this_process().models.size_of(scoring.recipe.load.key(scoring.recipe.ref.digest)),
        rehearsal=rehearsal,
    )


def _folder(scoring: Scoring) -> Path:
    return scoring.store.path(scoring.recipe.ref.digest)
