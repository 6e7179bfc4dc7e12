"""From raw timings to a table; every number in it can be derived again from the JSON file beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.cost import Cost
from benchmarks.fit import Fit, fit_sizes
from benchmarks.ratios import Spread, paired_ratios, spread
from benchmarks.rounds import Run

NOISY_SHARE = 0.05


@dataclass(frozen=True, kw_only=True)
class Cold:
    """One job in a fresh host: what the other tables leave out.

    Attributes:
        host_seconds: Until the host was ready: Python, imports, a Spark session or a Ray cluster.
        first_job_seconds: The first job, which starts workers and loads the model.
        peak_bytes: The most memory of the whole process tree meanwhile (PSS).
    """

    host_seconds: float
    first_job_seconds: float
    peak_bytes: int


@dataclass(frozen=True, kw_only=True)
class Line:
    """What is reported of one engine, on the larger table.

    Attributes:
        engine: Its name.
        rounds: How many rounds it took part in.
        seconds: Wall seconds of a run.
        rows_per_second: Rows by wall seconds.
        cpu_seconds_per_million_rows: Of the whole process tree.
        seconds_ratio: This engine's seconds by those of the base engine in the same round; above 1 the base
            engine is faster.
        cpu_ratio: The same for CPU-seconds.
        fit: Start and cost of a row, where two sizes were run.
        cold: A job in a fresh host, where that was measured.
    """

    engine: str
    rounds: int
    seconds: Spread
    rows_per_second: Spread
    cpu_seconds_per_million_rows: Spread
    seconds_ratio: Spread
    cpu_ratio: Spread
    fit: Fit | None = None
    cold: Cold | None = None


def summarise(runs: Sequence[Run], *, rows: int, base: str, cold: Mapping[str, Cold] | None = None) -> list[Line]:
    """Summarise the runs of each engine, the base first and then in the order in which they first appear.

    Args:
        runs: Of one workload, with one or two sizes.
        rows: The larger size.
        base: The engine that the others are divided by.
        cold: What was measured in fresh hosts.
    """
    costs: dict[str, dict[int, dict[int, Cost]]] = {}
    for run in sorted(runs, key=lambda run: (run.engine != base, run.round)):
        costs.setdefault(run.engine, {}).setdefault(run.rows, {})[run.round] = run.cost
    bases = costs[base][rows]
    return [_line(engine, sizes, rows, bases, (cold or {}).get(engine)) for engine, sizes in costs.items()]


def _line(
    engine: str, sizes: Mapping[int, Mapping[int, Cost]], rows: int, bases: Mapping[int, Cost], cold: Cold | None
) -> Line:
    seconds, cpu = _seconds(sizes[rows]), _cpu_seconds(sizes[rows])
    small = min(sizes)
    fit = None
    if small < rows:
        of_small = _seconds(sizes[small])
        fit = fit_sizes(
            [of_small[number] for number in seconds], list(seconds.values()), small_rows=small, large_rows=rows
        )
    return Line(
        engine=engine,
        rounds=len(seconds),
        seconds=spread(list(seconds.values())),
        rows_per_second=spread([rows / value for value in seconds.values()]),
        cpu_seconds_per_million_rows=spread([value / rows * 1e6 for value in cpu.values()]),
        seconds_ratio=spread(paired_ratios(seconds, _seconds(bases))),
        cpu_ratio=spread(paired_ratios(cpu, _cpu_seconds(bases))),
        fit=fit,
        cold=cold,
    )


def _seconds(costs: Mapping[int, Cost]) -> dict[int, float]:
    return {number: cost.seconds for number, cost in costs.items()}


def _cpu_seconds(costs: Mapping[int, Cost]) -> dict[int, float]:
    return {number: cost.cpu_seconds for number, cost in costs.items()}


def noisy_runs(runs: Sequence[Run], *, cores: int) -> list[Run]:
    """Return the runs during which others used more than a twentieth of the cores."""
    return [run for run in runs if run.cost.other_cpu_seconds > NOISY_SHARE * cores * run.cost.seconds]


def markdown(lines: Sequence[Line], *, noisy: int, runs: int) -> str:
    """Return the table, with what one has to know to read it; the first line is the base engine's."""
    base = lines[0].engine
    head = ["engine", "seconds", "rows/s", "CPU s per M rows", f"x the seconds of {base}", "x its CPU"]
    cells = [_cells(line, base=base) for line in lines]
    if any(line.fit for line in lines):
        head += ["start, s", "ns a row"]
        cells = [[*row, *_fit_cells(line)] for row, line in zip(cells, lines, strict=True)]
    if any(line.cold for line in lines):
        head += ["host up, s", "first job, s", "peak MiB"]
        cells = [[*row, *_cold_cells(line)] for row, line in zip(cells, lines, strict=True)]
    return (
        f"{table(head, cells)}\n\n"
        "Median (smallest..largest) [bootstrap 90 % interval of the median]; ratios are taken within each round. "
        f"Others used more than {NOISY_SHARE:.0%} of the machine in {noisy} of {runs} runs.\n"
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table whose first column is text and whose others are numbers."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def save(folder: Path, name: str, record: Mapping[str, object], text: str) -> Path:
    """Write `name`.json and `name`.md into `folder`; an earlier result of that name is replaced."""
    path = save_record(folder / f"{name}.json", record)
    (folder / f"{name}.md").write_text(text)
    return path


def save_record(path: Path, record: Mapping[str, object]) -> Path:
    """Write one record; an earlier one of that name is replaced."""
    path.parent.mkdir(parents=True, exist_ok=True)
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


def _fit_cells(line: Line) -> list[str]:
    if line.fit is None:
        return ["", ""]
    return [f"{line.fit.start_seconds.median:.2f}", f"{line.fit.nanoseconds_per_row.median:,.0f}"]


def _cold_cells(line: Line) -> list[str]:
    if line.cold is None:
        return ["", "", ""]
    cold = line.cold
    return [f"{cold.host_seconds:.1f}", f"{cold.first_job_seconds:.1f}", f"{cold.peak_bytes / 2**20:,.0f}"]
