"""Profile the hot loop without Spark: one process reads, scores and writes a file, as on the direct plane.

Seconds are those of the processor, so that other work on the machine counts little.

Run `python -m benchmarks.hot pipeline`; `--profile` adds the functions that took longest.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import shutil
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.hot_cases import CASES
from spark_infer.config import ScoreOptions
from spark_infer.core.stats import Stats
from spark_infer.models.backends import load
from spark_infer.models.files.store import ModelStore
from spark_infer.models.recipe import Recipe, make_recipe
from spark_infer.models.registry.resolve import resolve
from spark_infer.models.worker import score_table_batches
from spark_infer.runtime.assignment import Assignment
from spark_infer.tables.scan.read import read_task
from spark_infer.tables.scan.task import Piece, Scan, ScanTask
from spark_infer.tables.sink.sink import ParquetSink
from spark_infer.tables.sink.sink_spec import SinkSpec

ROW_GROUP_ROWS = 100_000


class Bench:
    """One case, ready to be timed.

    Args:
        name: Key of `CASES`.
        rows: Rows of its table.
        work: Folder for the table and the model.
        options: Options of the scoring beside the case's own.
    """

    def __init__(self, name: str, rows: int, work: Path, options: dict[str, Any]) -> None:
        case = CASES[name]
        table = case.table(rows)
        folder = work / f"hot-{name}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        pq.write_table(table, folder / "rows.parquet", row_group_size=ROW_GROUP_ROWS, compression="snappy")
        self.alone = case.alone(case.save(table, folder / "model"), table)
        store = ModelStore(folder / "store")
        ref = resolve(str(folder / "model"), tracking_uri=None, registry_uri=None, store=store)
        self._files = store.path(ref.digest)
        self._recipe: Recipe = make_recipe(
            ref,
            table.schema,
            ScoreOptions(**{**case.score, **options}),
            folder=self._files,
            load_model=lambda spec: load(spec, self._files),
        )
        scan = Scan(uri=f"file://{folder}", schema=table.schema)
        piece = Piece("rows.parquet", (folder / "rows.parquet").stat().st_size)
        self._rows = partial(read_task, ScanTask(0, (piece,)), scan)
        schema = pa.schema([*table.schema, *self._recipe.outputs])
        (folder / "out").mkdir()
        self._sink = SinkSpec(uri=f"file://{folder}/out", run_id="hot", schema=schema)
        self._copy = SinkSpec(uri=f"file://{folder}/out", run_id="copy", schema=table.schema)

    def read(self) -> None:
        """Read the table and drop it."""
        for _ in self._rows():
            pass

    def copy(self) -> None:
        """Read the table and write it."""
        sink = ParquetSink(self._copy, 0)
        for batch in self._rows():
            sink.write(batch)
        sink.close()

    def whole(self) -> dict[str, Any]:
        """Read, score and write; return what it cost."""
        stats = Stats(clock=time.process_time)
        sink = ParquetSink(self._sink, 0)
        for batch in score_table_batches(
            self._recipe, lambda: self._files, self._rows(), Assignment(cpus=1), stats=stats
        ):
            with stats.timing("write"):
                sink.write(batch)
        with stats.timing("write"):
            sink.close()
        return stats.take()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", choices=CASES)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--work", type=Path, default=Path("build/benchmarks"))
    parser.add_argument("--option", action="append", default=[], metavar="NAME=VALUE", help="an option of the scoring")
    parser.add_argument("--profile", type=int, default=0, metavar="LINES", help="show the functions that took longest")
    given = parser.parse_args(arguments)
    bench = Bench(given.case, given.rows, given.work.resolve(), dict(each.split("=", 1) for each in given.option))
    bench.whole()  # loads the model
    print(f"{given.case}, {given.rows:,} rows, CPU seconds, best of {given.rounds}")
    parts: list[dict[str, Any]] = []
    for name, run in (("model alone", bench.alone), ("read", bench.read), ("read and write", bench.copy)):
        print(f"  {name:<24}{min(_seconds(run) for _ in range(given.rounds)):8.3f}")
    whole = min(_seconds(lambda: parts.append(bench.whole())) for _ in range(given.rounds))
    print(f"  {'read, score, write':<24}{whole:8.3f}")
    for name, value in min(parts, key=lambda each: sum(v for v in each.values() if isinstance(v, float))).items():
        if isinstance(value, float) and name != "load":
            print(f"    {name:<22}{value:8.3f}{value / whole:7.0%}")
    if given.profile:
        profiler = cProfile.Profile()
        profiler.runcall(bench.whole)
        pstats.Stats(profiler).sort_stats("tottime").print_stats(given.profile)


def _seconds(run: Callable[[], Any]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


if __name__ == "__main__":
    main()
