"""Have picklescan look at a model's pickles for classes and functions that do harm; nothing is unpickled.

picklescan has lists of what is dangerous (`os.system`, `builtins.eval`, …). What it finds nothing in may still do harm.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from spark_infer.errors import EnvironmentProblem, install_extra
from spark_infer.models.trust.pickle_opcodes import is_pickle
from spark_infer.models.trust.pickles import every_pickle

_MOST_NAMES = 3
_MOST_CHARACTERS = 80


def dangers_in(folder: Path) -> list[str]:
    """Return the files of a model that hold a pickle that is dangerous or cannot be scanned to its end, and why.

    Raises:
        EnvironmentProblem: picklescan is not installed.
    """
    require_scanner()
    found = []
    with _quiet():
        for place, pickled in every_pickle(folder):
            danger = "" if pickled is None else _danger(pickled)
            if danger is not None:
                found.append(f"{place}{danger}")
    return found


def require_scanner() -> None:
    """See that picklescan is here.

    Raises:
        EnvironmentProblem: It is not.
    """
    try:
        import picklescan.scanner  # noqa: F401 - only whether it is there
    except ImportError:
        raise EnvironmentProblem(
            "`scan_pickle` asks for picklescan, which is not installed.",
            next_step=f"{install_extra('scan')} where the driver runs, or leave scan_pickle out.",
        ) from None


def _danger(pickled: IO[bytes]) -> str | None:
    """What is wrong with a pickle; None where nothing is known to be."""
    from picklescan.scanner import SafetyLevel, scan_pickle_bytes

    try:
        result = scan_pickle_bytes(pickled, "")
    except Exception as error:  # a pickle that is made to break it
        return f" (cannot be scanned: {type(error).__name__})"
    names = sorted(f"{each.module}.{each.name}" for each in result.globals if each.safety is SafetyLevel.Dangerous)
    if names:
        more = len(names) - _MOST_NAMES
        shown = [name[:_MOST_CHARACTERS] for name in names[:_MOST_NAMES]]
        return f": {', '.join([*shown, *([f'and {more} more'] if more > 0 else [])])}"
    pickled.seek(0)
    # Raw bytes between the opcodes, as those of joblib's arrays, end a scan: what follows them is not seen.
    if result.scan_err or (not result.globals and is_pickle(pickled)):
        return " (cannot be scanned to its end)"
    return None


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep picklescan from logging what it finds, which are names from the model; the error has them."""
    logger = logging.getLogger("picklescan")
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before
