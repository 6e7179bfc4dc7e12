"""docs/type-matrix.md, written from what the tests found."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tests.types.broken import BROKEN
from tests.types.cases import MODELS
from tests.types.shapes import SHAPES
from tests.types.specials import SPECIALS

PATH = Path(__file__).parents[2] / "docs" / "type-matrix.md"
WRITES = os.environ.get("WRITE_DOCS") == "1"
DOORS = ("model_udf", "score", "score_table")

Cells = dict[tuple[str, str, str], str]
"""(table, row, column) -> what was found."""

_HEAD = """\
# The type matrix

Written by the tests from what they found (`make docs`); a test compares. The cases are in `tests/types/`, each
with its values and what must come of them; [types.md](types.md) has the rules behind them. Before Spark 4.1 `model_udf`
goes by way of pandas and refuses more than this page says ([which Spark](clusters.md#which-spark)).
"""

_INTO = """
## From the table into the model

The limits of each type went through each door, once without nulls and once with them. `exact` means that the model was
given these very values; beside it stands what it was given for a null. `kept` is the column beside the predictions.
"""

_BROKEN = """
## Values that a model cannot be given

Each is an error that names the column and shows no value.
"""

_SPECIAL = """
## Types that no model takes

Spark knows them, models do not: convert them in SQL first (`variant_get(v, '$.a', 'double')`, `unix_micros(t)`, …).
A column that cannot be kept can be left out with `keep`.
"""

_OUT = """
## From the model into the table

All at once through a pyfunc that returns a dict, for rows with and without a null.
"""


def render(cells: Cells) -> str:
    """Write the document.

    Raises:
        KeyError: Something was not looked at.
    """
    cases = [case for cases in MODELS.values() for case in cases]
    into = (
        [
            f"`{case.spark}`",
            _takes(case.takes),
            case.dtype,
            *(f"{cells['values', case.column, door]} / {cells['nulls', case.column, door]}" for door in DOORS),
            *(cells["kept", case.column, door] for door in DOORS[1:]),
        ]
        for case in cases
    )
    broken = (
        [
            f"`{each.case.spark}`",
            _takes(each.case.takes),
            each.what,
            *(cells["broken", str(index), door] for door in DOORS),
        ]
        for index, each in enumerate(BROKEN)
        if each.value is not None
    )
    special = (
        [
            f"`{each.spark}`",
            *(cells["input", each.column, door] for door in DOORS),
            *(cells["kept", each.column, door] for door in DOORS[1:]),
        ]
        for each in SPECIALS
    )
    out = ([each.told, f"`{each.declared}`", *(cells["shapes", each.name, door] for door in DOORS)] for each in SHAPES)
    kept = [f"kept: {door}" for door in DOORS[1:]]
    return "".join(
        [
            _HEAD,
            _INTO,
            *_table(["column", "the model takes", "as", *(f"{door} / null" for door in DOORS), *kept], into),
            _BROKEN,
            *_table(["column", "the model takes", "value", *DOORS], broken),
            _SPECIAL,
            *_table(["column", *(f"input: {door}" for door in DOORS), *kept], special),
            _OUT,
            *_table(["the model returns", "declared as", *DOORS], out),
        ]
    )


def complete(cells: Cells) -> bool:
    """Whether everything was looked at."""
    try:
        render(cells)
    except KeyError:
        return False
    return True


def _table(heads: list[str], rows: Iterable[list[str]]) -> list[str]:
    lines = [heads, ["---"] * len(heads), *rows]
    return ["\n", *("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)]


def _takes(takes: str | Mapping[str, Any] | None) -> str:
    if takes is None:
        return "no signature"
    if isinstance(takes, str):
        return takes
    match takes["type"]:
        case "tensor":
            spec = takes["tensor-spec"]
            return f"tensor {spec['dtype']} {spec['shape']}"
        case "array":
            return f"array of {_takes(takes['items'])}"
        case "map":
            return f"map to {_takes(takes['values'])}"
        case kind:
            return str(kind)
