"""Random models and tables through engine `local`: the answers are those of pyfunc, by position."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.differential.jobs import ONE_JOB, TEN_JOBS, check, many, tables
from tests.local.jobs import run

__all__ = ["many"]
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("in_this_process")]


def score(source: Path, model: str, options: dict[str, Any]) -> pa.Table:
    target = source.with_name(f"{source.name}_scored")
    run(model, {"path": str(source)}, {"path": str(target), "format": "parquet"}, score=options)
    return pq.read_table(target)


@pytest.mark.parametrize("outputs", ["one", "several", "bare"])
@given(data=st.data())
@ONE_JOB
def test_random_models_answer_as_their_pyfunc_does(
    many: Mapping[str, str], outputs: str, tmp_path: Path, data: st.DataObject
) -> None:
    check(data.draw(tables(outputs)), many[outputs], score, tmp_path, data)


@pytest.mark.soak
@given(data=st.data())
@TEN_JOBS
def test_hundreds_of_random_models_do(many: Mapping[str, str], tmp_path: Path, data: st.DataObject) -> None:
    outputs = data.draw(st.sampled_from(list(many)))
    check(data.draw(tables(outputs)), many[outputs], score, tmp_path, data)
