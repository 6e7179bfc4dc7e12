"""What verifying a model showed: how far each output is from what was expected, and the versions of the libraries."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field

from spark_infer.printable import counted, printable_lines

TOLERANCE = 1e-6


@dataclass(frozen=True, kw_only=True)
class Compared:
    """How far an output is from what was expected.

    Attributes:
        output: Its name.
        difference: The largest ``|a - b| / max(1, |a|)``; infinite where something else than a number differs.
        row: The row that it is in, from 0.
        equal: Whether it is within the tolerance.
    """

    output: str
    difference: float
    row: int
    equal: bool


@dataclass(frozen=True, kw_only=True)
class HostCompared:
    """What the tasks on one host answered.

    Attributes:
        tasks: How many there were.
        difference: The largest difference of all outputs.
        equal: Whether all are within the tolerance.
        other_versions: Libraries with another version than the driver's, and that version.
    """

    tasks: int = 0
    difference: float = 0.0
    equal: bool = True
    other_versions: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What verifying a model showed; no row values.

    Attributes:
        model: Name and version.
        backend: What serves it on the workers.
        rows: How many rows were compared.
        source: Where they come from.
        expected: Where the expected answers come from.
        workers: Who scored.
        tolerance: Largest difference of a floating number; all else must be equal.
        outputs: What was compared.
        not_compared: Outputs of the model that the golden file has no answers for, where it has some of others.
        hosts: What the tasks of each host answered, where Spark ran them.
        versions: Library to its version on the driver, on the workers and as the model was logged with it.
    """

    model: str
    backend: str
    rows: int
    source: str
    expected: str
    workers: str
    tolerance: float
    outputs: tuple[Compared, ...]
    versions: Mapping[str, Mapping[str, str]]
    not_compared: tuple[str, ...] = ()
    hosts: Mapping[str, HostCompared] = field(default_factory=dict)

    @property
    def equal(self) -> bool:
        """Whether all answers are as expected."""
        return all(each.equal for each in self.outputs)

    def to_dict(self) -> dict[str, object]:
        """Return the facts as values that JSON can hold."""
        outputs = [asdict(each) for each in self.outputs]
        hosts = {name: asdict(each) for name, each in self.hosts.items()}
        for each in (*outputs, *hosts.values()):
            each["difference"] = each["difference"] if math.isfinite(each["difference"]) else None
        return {**vars(self), "equal": self.equal, "outputs": outputs, "hosts": hosts}

    def __str__(self) -> str:
        return printable_lines(_lines(self))


def _lines(found: Verification) -> Iterator[str]:
    wrong = sum(not each.equal for each in found.outputs)
    result = "as expected" if found.equal else f"{wrong} of {counted(len(found.outputs), 'output')} not as expected"
    if found.not_compared:
        result += f", {counted(len(found.not_compared), 'output')} not compared"
    yield f"{found.model}: {counted(found.rows, 'row')} scored, {result}"
    yield ""
    yield f"  rows      {found.source}"
    yield f"  expected  {found.expected}"
    yield f"  workers   {found.workers}, backend {found.backend}"
    yield f"  bound     {found.tolerance:g} for floating numbers, relative above 1; all else equal"
    yield ""
    yield "outputs"
    width = max(len(each.output) for each in found.outputs)
    for each in found.outputs:
        size = "equal" if not each.difference else f"differs by at most {each.difference:.3g}, in row {each.row}"
        size = f"other values, the first in row {each.row}" if math.isinf(each.difference) else size
        yield f"  {'' if each.equal else '! '}{each.output:<{width}}  {size}"
    if found.not_compared:
        yield f"  not compared: {', '.join(found.not_compared)}"
    yield from _hosts(found.hosts)
    yield ""
    yield "versions"
    yield f"  {'':<16}{'driver':<14}{'workers':<14}model"
    for name, where in found.versions.items():
        yield f"  {name:<16}{where['driver']:<14}{where['workers']:<14}{where['model']}".rstrip()


def _hosts(hosts: Mapping[str, HostCompared]) -> Iterator[str]:
    if hosts:
        yield ""
        yield "hosts"
    for name, found in hosts.items():
        answers = "as expected" if found.equal else f"not as expected, by up to {found.difference:.3g}"
        versions = f"; unlike the driver: {', '.join(found.other_versions)}" if found.other_versions else ""
        yield f"  {'' if found.equal else '! '}{name}  {counted(found.tasks, 'task')}, {answers}{versions}"
