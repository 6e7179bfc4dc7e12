"""Many random cases at once, as one table: a door starts a job for all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import mlflow
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from tests.differential.cases import SCHEMA, Case, cases, expected, plain
from tests.differential.model import OUTPUTS, options, save_many

CASES = 20
"""How many cases one job scores."""
# A failure names its cases; to find smaller ones would take a job for each try.
ONE_JOB, TEN_JOBS = (
    settings(
        max_examples=jobs,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )
    for jobs in (1, 10)
)

Scoring = Callable[[Path, str, dict[str, Any]], pa.Table]
"""Scores the Parquet table in a folder with a model and options of the door, such as `batch_size`."""


def tables(outputs: str) -> st.SearchStrategy[list[Case]]:
    """Draw as many cases as a job scores, each with another way to answer."""
    return st.lists(cases(outputs, 6), min_size=CASES, max_size=CASES, unique_by=lambda case: case.how)


@pytest.fixture(scope="session")
def many(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """The folders of the model, by its outputs."""
    folder = tmp_path_factory.mktemp("many")
    return {outputs: save_many(folder / outputs, outputs) for outputs in OUTPUTS}


def check(found: Sequence[Case], model: str, score: Scoring, folder: Path, data: st.DataObject) -> None:
    """Score all cases at once and compare each row with what pyfunc answers for its case; kept columns too."""
    whole = pa.concat_tables(case.table for case in found)
    whole = whole.add_column(0, SCHEMA.field("row"), pa.array(range(whole.num_rows), pa.int64()))
    source = folder / f"source_{len(list(folder.iterdir()))}"
    source.mkdir()
    half = whole.num_rows // 2
    for name, part in (("a", whole.slice(0, half)), ("b", whole.slice(half))):
        pq.write_table(part, source / f"{name}.parquet", row_group_size=data.draw(st.integers(1, 40)))
    outputs, batch_size = found[0].outputs, data.draw(st.one_of(st.none(), st.integers(1, 30)))
    scored = score(source, model, {"batch_size": batch_size, **options(outputs)}).sort_by("row")
    pyfunc = mlflow.pyfunc.load_model(model)
    names = [column.name for column in OUTPUTS[outputs].inputs]
    wanted: list[Any] = [row for case in found for row in expected(case, pyfunc)]
    answers = zip(*(plain(scored.column(name)) for name in names), strict=True)
    wrong = [(row, *pair) for row, pair in enumerate(zip(answers, wanted, strict=True)) if pair[0] != pair[1]]
    assert not wrong, wrong[:5]
    kept = [name for name in SCHEMA.names if name in scored.column_names]
    assert repr(scored.select(kept).to_pylist()) == repr(whole.select(kept).to_pylist())
