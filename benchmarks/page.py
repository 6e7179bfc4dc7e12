"""The page of the suite: from the JSON of its workloads to Markdown and a plot; it can be made again at any time.

python -m benchmarks.page                                         # from benchmarks/results/suite
python -m benchmarks.page --readme README.md                      # also put the table between the README's marks
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.cost import Cost
from benchmarks.fit import fit_columns
from benchmarks.fleet import ALONE, BY_LLVM, COMPILED
from benchmarks.options import RESULTS
from benchmarks.plot import Bar, plot
from benchmarks.report import NOISY_SHARE, table
from benchmarks.rounds import Run
from benchmarks.targets import RIVALS, outcomes

Record = Mapping[str, Any]
BEGIN, END = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"
TITLES = {"suite": "The benchmark suite", "ablations": "What each technique is worth"}


def write_page(results: Path, kind: str) -> Path:
    """Write `<kind>.md` and `<kind>.svg` beside the folder of that kind's records."""
    records = read_records(results / kind)
    page = results / f"{kind}.md"
    (results / f"{kind}.svg").write_text(plot(bars(records), base=_base(records)))
    page.write_text(render(records, kind))
    return page


def read_records(folder: Path) -> dict[str, Record]:
    """Read what was measured, by workload, in the order of their numbers."""
    records = {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}
    return dict(sorted(records.items(), key=lambda item: _order(item[0])))


def _order(name: str) -> tuple[int, ...]:
    return tuple(int(part) for part in name.removeprefix("W").split("-") if part.isdigit())


def render(records: Mapping[str, Record], kind: str) -> str:
    """Return the whole page."""
    parts = [f"# {TITLES[kind]}", _made_with(records), f"![]({kind}.svg)"]
    if kind == "suite":
        parts += ["## Targets", targets(records), *([_width_table(records)] if _widths(records) else [])]
    parts += [_workload(name, record) for name, record in records.items()]
    return "\n\n".join(parts) + "\n"


def targets(records: Mapping[str, Record], *, in_short: bool = False) -> str:
    """Return the table of the targets, and each missed one in a sentence; the table alone in short."""
    head = ["workload", *(f"x as fast as {rival}" for rival in RIVALS)]
    told = {name: record for name, record in records.items() if _promised(record)}
    if not told:
        return "No workload with a target was measured."
    rows = [
        [title, *map(_outcome_cell, found)]
        for name, record in told.items()
        for title, found in (
            (f"{name} {record['workload']['title']}", record["outcomes"]),
            (f"{name} with `compile: onnx`", _of(COMPILED, name, record)),
            (f"{name} with `compile: llvm`", _of(BY_LLVM, name, record)),
        )
        if found
    ]
    if in_short:
        return table(head, rows)
    missed = [
        f"- {name}: {_missed(outcome)}{_most(outcome, _of(ALONE, name, record))}"
        for name, record in told.items()
        for outcome in record["outcomes"]
        if not outcome["is_met"]
    ]
    verdict = "Missed:\n\n" + "\n".join(missed) if missed else "All targets are met."
    return f"{table(head, rows)}\n\nMedian [bootstrap 90 % interval] and the target.\n\n{verdict}"


def _of(engine: str, name: str, record: Record) -> list[Record]:
    """Compare another engine than ours with each rival; nothing where it took no part."""
    runs = [Run(**{**run, "cost": Cost(**run["cost"])}) for run in record["runs"]]
    if not any(run.engine == engine for run in runs):
        return []
    found = outcomes(name, runs, record["workload"]["rows"], ours=engine)
    return [asdict(outcome) | {"is_met": outcome.is_met} for outcome in found]


def _promised(record: Record) -> bool:
    return any(outcome["target"] is not None for outcome in record["outcomes"])


def _outcome_cell(outcome: Record) -> str:
    if outcome["ratio"] is None:
        return f"not measured (>= {outcome['target']:g})"
    ratio, met = outcome["ratio"], "" if outcome["is_met"] else "**missed** "
    return f"{met}{ratio['median']:.2f} [{ratio['low']:.2f}..{ratio['high']:.2f}] (>= {outcome['target']:g})"


def _missed(outcome: Record) -> str:
    if outcome["ratio"] is None:
        return f"nothing was timed of {outcome['rival']}, against which {outcome['target']:g} x was the target"
    return (
        f"{outcome['ratio']['median']:.2f} x as fast as {outcome['engine']}; the target against {outcome['rival']} "
        f"is {outcome['target']:g} x"
    )


def _most(missed: Record, alone: Sequence[Record]) -> str:
    """Say how fast a rival's job would be if all but the model's own work were free."""
    same = [each for each in alone if each["rival"] == missed["rival"] and each["ratio"] is not None]
    if not same or missed["ratio"] is None:
        return ""
    return f"; the model's predict calls alone, on arrays in memory, are {same[0]['ratio']['median']:.2f} x as fast"


def bars(records: Mapping[str, Record]) -> dict[str, list[Bar]]:
    """Return what is plotted: for each workload, each engine's seconds by those of the base."""
    return {
        f"{name} {record['workload']['title']}": [
            Bar(
                label=line["engine"],
                ratio=line["seconds_ratio"]["median"],
                low=line["seconds_ratio"]["low"],
                high=line["seconds_ratio"]["high"],
            )
            for line in record["summary"][1:]
        ]
        for name, record in records.items()
    }


def _base(records: Mapping[str, Record]) -> str:
    return next((str(record["summary"][0]["engine"]) for record in records.values()), "")


def _widths(records: Mapping[str, Record]) -> dict[str, dict[int, float]]:
    """Return nanoseconds per row, by engine and number of columns, of the engines that ran two widths at least."""
    found: dict[str, dict[int, float]] = {}
    for name, record in records.items():
        if name.startswith("W0-"):
            for line in record["summary"]:
                if line["fit"]:
                    value = line["fit"]["nanoseconds_per_row"]["median"]
                    found.setdefault(line["engine"], {})[record["workload"]["features"]] = value
    return {engine: values for engine, values in found.items() if len(values) > 1}


def _width_table(records: Mapping[str, Record]) -> str:
    rows = []
    for engine, values in _widths(records).items():
        per_row, per_cell = fit_columns(values)
        rows.append([engine, f"{per_row:,.0f}", f"{per_cell:,.1f}"])
    text = "Nanoseconds of wall time, all cores at work, from a fit over the widths of W0; a row's part is noisy."
    return f"## Cost of a row and of a cell\n\n{table(['engine', 'ns a row', 'ns a cell'], rows)}\n\n{text}"


def _workload(name: str, record: Record) -> str:
    facts = record["workload"]
    head = ["engine", "rounds", "seconds", "CPU s per M rows", "x seconds", "x CPU", "start, s", "ns a row"]
    rows = [[*_line(line)] for line in record["summary"]]
    if any(line["cold"] for line in record["summary"]):
        head += ["host up, s", "first job, s", "peak MiB"]
        rows = [[*row, *_cold(line["cold"])] for row, line in zip(rows, record["summary"], strict=True)]
    size = f"{facts['rows']:,} rows in {facts['files']} files, {facts['bytes'] / 2**20:,.0f} MiB"
    told = f"{size}; {facts['features']} columns to the model, {facts['model_bytes'] / 2**20:,.1f} MiB of model."
    noisy = (
        f"Others used more than {NOISY_SHARE:.0%} of the machine in {record['noisy']} of {len(record['runs'])} runs."
    )
    lost = [f"- left out: {engine}: {_last_line(why)}" for engine, why in record["left_out"].items()]
    return "\n\n".join(
        [f"## {name} {facts['title']}", told, table(head, rows), noisy, *(["\n".join(lost)] if lost else [])]
    )


def _line(line: Record) -> list[str]:
    fit = line["fit"]
    return [
        line["engine"],
        str(line["rounds"]),
        f"{line['seconds']['median']:.2f}",
        f"{line['cpu_seconds_per_million_rows']['median']:.2f}",
        _ratio(line["seconds_ratio"]),
        f"{line['cpu_ratio']['median']:.2f}",
        f"{fit['start_seconds']['median']:.2f}" if fit else "",
        f"{fit['nanoseconds_per_row']['median']:,.0f}" if fit else "",
    ]


def _ratio(ratio: Record) -> str:
    return f"{ratio['median']:.2f} [{ratio['low']:.2f}..{ratio['high']:.2f}]"


def _cold(cold: Record | None) -> list[str]:
    if cold is None:
        return ["", "", ""]
    return [
        f"{cold['host_seconds']:.1f}",
        f"{cold['first_job_seconds']:.1f}",
        f"{cold['peak_bytes'] / 2**20:,.0f}",
    ]


def _last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2]


def _made_with(records: Mapping[str, Record]) -> str:
    """Say when, where and with what; the workloads may have been measured on different days."""
    sets = {
        (record["started_at"][:10], record["machine"]["cpu"], record["settings"]["scale"])
        for record in records.values()
    }
    runs = "; ".join(f"{day}, {cpu}, scale {scale:g}" for day, cpu, scale in sorted(sets))
    versions: dict[str, dict[str, None]] = {}
    for record in records.values():
        for name, version in record["versions"].items():
            versions.setdefault(name, {})[version] = None
    packages = ", ".join(f"{name} {' and '.join(several)}" for name, several in sorted(versions.items()))
    small = any(record["settings"]["scale"] < 1 for record in records.values())
    warning = "\n\n**A trial: below scale 1 these numbers say that everything runs, not how fast.**" if small else ""
    return f"{runs}. {packages}.{warning}"


def put_into(text: str, section: str) -> str:
    """Replace what stands between the marks.

    Raises:
        ValueError: The marks are not there.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"there is no place for the table: put {BEGIN} and {END} where it shall stand")
    return f"{before}{begin}\n{section}\n{end}{after}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the pages of whatever was measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.page", description="Make the pages of the suite again.")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--readme", type=Path, help="a file with marks, where the table and the plot go too")
    options = parser.parse_args(arguments)
    for kind in TITLES:
        if (options.results / kind).is_dir():
            print(write_page(options.results, kind))
    if options.readme:
        picture = "![](benchmarks/results/suite.svg)"
        records = read_records(options.results / "suite")
        if any(record["settings"]["scale"] < 1 for record in records.values()):
            raise SystemExit("These are results of a trial: a README wants a measurement, at scale 1.")
        section = f"{targets(records, in_short=True)}\n\n{picture}"
        options.readme.write_text(put_into(options.readme.read_text(), section))


if __name__ == "__main__":
    main()
