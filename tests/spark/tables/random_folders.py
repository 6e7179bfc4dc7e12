"""Random states of folders: streams with batches that failed, and folders that were written in part."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.spark.tables.folders import empty, put

LOG = "_spark_metadata"
HIDDEN = ("_a.parquet", ".b.parquet", "c.parquet._COPYING_", "_metadata", "_temporary/0/d.parquet", ".e/f.parquet")


def random_folder(seed: int, folder: Path, streams: Sequence[Path]) -> None:
    """Make a folder: the copy of a stream's, or one that somebody writes, with up to four accidents."""
    chance = random.Random(seed)
    if chance.random() < 0.6:
        copied_stream(chance.choice(streams), folder)
    else:
        _partly_written(chance, folder)
    for accident in chance.choices(*zip(*ACCIDENTS, strict=True), k=chance.randint(0, 4)):
        accident(chance, folder)


def copied_stream(stream: Path, folder: Path) -> None:
    """Copy what a stream wrote, with a log that names the copies."""
    shutil.copytree(stream, folder, ignore=shutil.ignore_patterns("*.crc"))
    for batch in (folder / LOG).iterdir():
        batch.write_text(batch.read_text().replace(f"{stream.as_uri()}/", f"{folder.as_uri()}/"))


def _partly_written(chance: random.Random, folder: Path) -> None:
    folders = chance.choice([[""], ["p=1/", "p=2/"], ["p=1/q=a/", "p=1/q=b/", "p=2/q=a/"]])
    for each in folders:
        put(folder, *(f"{each}part-{number}.parquet" for number in range(chance.randint(1, 3))))
    if chance.random() < 0.5:  # the job that writes has not ended
        put(folder, f"_temporary/0/_temporary/attempt_1/{chance.choice(folders)}part-9.parquet")
    else:
        empty(folder, "_SUCCESS")


def _homes(folder: Path) -> list[Path]:
    """Where the rows lie."""
    return sorted({each.parent for each in folder.rglob("part-*.parquet") if LOG not in each.parts}) or [folder]


def _batches(folder: Path) -> list[Path]:
    return sorted((folder / LOG).glob("*"), key=lambda each: int(each.stem))


def _uncommitted(chance: random.Random, folder: Path) -> None:
    for batch in _batches(folder)[-chance.randint(1, 2) :]:
        batch.unlink()


def _expired(chance: random.Random, folder: Path) -> None:
    batches = _batches(folder)
    compacted = [place for place, batch in enumerate(batches) if batch.suffix]
    for batch in batches[: compacted[-1] if compacted else 0]:
        batch.unlink()


def _gap(chance: random.Random, folder: Path) -> None:
    if batches := _batches(folder):
        chance.choice(batches).unlink()


def _no_log(chance: random.Random, folder: Path) -> None:
    shutil.rmtree(folder / LOG, ignore_errors=True)


def _orphan(chance: random.Random, folder: Path) -> None:
    put(chance.choice(_homes(folder)), f"part-orphan-{chance.random()}.parquet")


def _lost(chance: random.Random, folder: Path) -> None:
    if files := sorted(folder.rglob("part-*.parquet")):
        chance.choice(files).unlink()


def _no_bytes(chance: random.Random, folder: Path) -> None:
    empty(chance.choice(_homes(folder)), chance.choice(["0.parquet", "z.txt", "part=0_$folder$"]))


def _hidden(chance: random.Random, folder: Path) -> None:
    put(chance.choice(_homes(folder)), chance.choice(HIDDEN))


def _other_name(chance: random.Random, folder: Path) -> None:
    put(chance.choice(_homes(folder)), chance.choice(["a b", "c.tmp", "d%20[1].parquet", "_x=1"]))


def _stray(chance: random.Random, folder: Path) -> None:
    put(folder, chance.choice(["stray.parquet", "sub/stray.parquet", "p=1/sub/stray.parquet"]))


def _empty_folder(chance: random.Random, folder: Path) -> None:
    (folder / chance.choice(["sub", "p=9", "_temporary"])).mkdir(exist_ok=True)


ACCIDENTS: tuple[tuple[Callable[[random.Random, Path], None], int], ...] = (
    (_uncommitted, 4),
    (_expired, 2),
    (_gap, 1),
    (_no_log, 1),
    (_orphan, 5),
    (_lost, 1),
    (_no_bytes, 4),
    (_hidden, 5),
    (_other_name, 3),
    (_stray, 1),
    (_empty_folder, 2),
)
"""What may befall a folder, and how often."""
