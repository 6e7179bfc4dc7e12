"""From raw timings to a table; every number in it can be derived again from the JSON file beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.cost import Cost
from benchmarks.ratios import Spread, ratios_by_round, spread
from benchmarks.rounds import Run

NOISY_SHARE = 0.05


@dataclass(frozen=True, kw_only=True)
class Line:
    """What is reported of one engine.

    Attributes:
        engine: Its name.
        seconds: Wall seconds of a run.
        rows_per_second: Rows by wall seconds.
        cpu_seconds_per_million_rows: Of the whole process tree.
        seconds_ratio: This engine's seconds by those of the base engine in the same round; above 1 the base
            engine is faster.
        cpu_ratio: The same for CPU-seconds.
    """

    engine: str
    seconds: Spread
    rows_per_second: Spread
    cpu_seconds_per_million_rows: Spread
    seconds_ratio: Spread
    cpu_ratio: Spread


def summarise(runs: Sequence[Run], *, rows: int, base: str) -> list[Line]:
    """Summarise the runs of each engine, in the order in which the engines first appear."""
    runs = sorted(runs, key=lambda run: run.round)
    costs: dict[str, list[Cost]] = {}
    for run in runs:
        costs.setdefault(run.engine, []).append(run.cost)
    seconds = {engine: [cost.seconds for cost in of_engine] for engine, of_engine in costs.items()}
    cpu_seconds = {engine: [cost.cpu_seconds for cost in of_engine] for engine, of_engine in costs.items()}
    return [
        Line(
            engine=engine,
            seconds=spread(seconds[engine]),
            rows_per_second=spread([rows / value for value in seconds[engine]]),
            cpu_seconds_per_million_rows=spread([value / rows * 1e6 for value in cpu_seconds[engine]]),
            seconds_ratio=spread(ratios_by_round(seconds[engine], seconds[base])),
            cpu_ratio=spread(ratios_by_round(cpu_seconds[engine], cpu_seconds[base])),
        )
        for engine in costs
    ]


def noisy_runs(runs: Sequence[Run], *, cores: int) -> list[Run]:
    """Return the runs during which others used more than a twentieth of the cores."""
    return [run for run in runs if run.cost.other_cpu_seconds > NOISY_SHARE * cores * run.cost.seconds]


def markdown(lines: Sequence[Line], *, noisy: int, runs: int) -> str:
    """Return the table, with what one has to know to read it; the first line is the base engine's."""
    base = lines[0].engine
    head = ["engine", "seconds", "rows/s", "CPU s per M rows", f"x the seconds of {base}", "x its CPU"]
    table = [head, ["---", *["---:"] * (len(head) - 1)], *(_cells(line, base=base) for line in lines)]
    text = "\n".join("| " + " | ".join(cells) + " |" for cells in table)
    return (
        f"{text}\n\n"
        "Median (smallest..largest) [bootstrap 90 % interval of the median]; ratios are taken within each round. "
        f"Others used more than {NOISY_SHARE:.0%} of the machine in {noisy} of {runs} runs.\n"
    )


def save(folder: Path, name: str, record: Mapping[str, object], text: str) -> Path:
    """Write `name`.json and `name`.md into `folder`; an earlier result of that name is replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.md").write_text(text)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(record, indent=1) + "\n")
    return path


def _cells(line: Line, *, base: str) -> list[str]:
    ratios = [line.seconds_ratio, line.cpu_ratio]
    return [
        line.engine,
        f"{line.seconds.median:.2f} ({line.seconds.smallest:.2f}..{line.seconds.largest:.2f})",
        f"{line.rows_per_second.median:,.0f}",
        f"{line.cpu_seconds_per_million_rows.median:.2f}",
        *("1" if line.engine == base else _ratio(ratio) for ratio in ratios),
    ]


def _ratio(ratio: Spread) -> str:
    return f"{ratio.median:.2f}x ({ratio.smallest:.2f}..{ratio.largest:.2f}) [{ratio.low:.2f}..{ratio.high:.2f}]"
